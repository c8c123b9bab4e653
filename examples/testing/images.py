"""A piece of an application: it makes sure that the image its jobs run in is there, and ready."""

from superserve import BuildError, SandboxError, Template, TemplateInfo

NAME = "jobs-python"


class ImageError(Exception):
    """The image for jobs cannot be had; the message is for the operator."""


def ensure_image(requirements: list[str]) -> TemplateInfo:
    """Return the ready image for jobs, building it if there is none yet."""
    try:
        for info in Template.list(name_prefix=NAME):
            if info.name == NAME and info.status == "ready":
                return info
        template = Template.create(
            name=NAME,
            from_="python:3.11",
            steps=[{"run": f"pip install {requirement}"} for requirement in requirements],
        )
        return template.wait_until_ready(timeout_s=900)
    except BuildError as error:
        raise ImageError(f"step {error.step} of {error.step_count} failed: {error.detail}") from error
    except SandboxError as error:
        raise ImageError(f"no image for jobs: {error}") from error
