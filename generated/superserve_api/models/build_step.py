# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define

from .. import wire
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.build_env import BuildEnv
    from ..models.build_user import BuildUser


T = TypeVar("T", bound="BuildStep")


@_attrs_define
class BuildStep:
    """One step of a build, with exactly one of the fields.

    Attributes:
        run (str | Unset): A shell command, run as the current user in the current directory.
        env (BuildEnv | Unset): An environment variable for the following steps and for sandboxes.
        workdir (str | Unset): The directory for the following steps. It is created if it does not exist.
        user (BuildUser | Unset): The user for the following steps. It is created if it does not exist.
    """

    run: str | Unset = UNSET
    env: BuildEnv | Unset = UNSET
    workdir: str | Unset = UNSET
    user: BuildUser | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        run = self.run

        env: dict[str, Any] | Unset = UNSET
        if not isinstance(self.env, Unset):
            env = self.env.to_dict()

        workdir = self.workdir

        user: dict[str, Any] | Unset = UNSET
        if not isinstance(self.user, Unset):
            user = self.user.to_dict()

        field_dict: dict[str, Any] = {}

        field_dict.update({})
        if run is not UNSET:
            field_dict["run"] = run
        if env is not UNSET:
            field_dict["env"] = env
        if workdir is not UNSET:
            field_dict["workdir"] = workdir
        if user is not UNSET:
            field_dict["user"] = user

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.build_env import BuildEnv  # noqa: PLC0415
        from ..models.build_user import BuildUser  # noqa: PLC0415

        if type(src_dict) is not dict:
            wire.check_object(src_dict)

        run = src_dict.get("run")
        if run is None:
            run = UNSET
        elif not isinstance(run, str):
            raise wire.unexpected("run", run, "a string")

        try:
            _env = src_dict.get("env", UNSET)
            env: BuildEnv | Unset
            if _env is None or _env is UNSET:
                env = UNSET
            else:
                env = BuildEnv.from_dict(_env)
        except (AttributeError, KeyError, TypeError, ValueError) as unreadable:
            raise wire.in_field(src_dict, "env", unreadable) from None

        workdir = src_dict.get("workdir")
        if workdir is None:
            workdir = UNSET
        elif not isinstance(workdir, str):
            raise wire.unexpected("workdir", workdir, "a string")

        try:
            _user = src_dict.get("user", UNSET)
            user: BuildUser | Unset
            if _user is None or _user is UNSET:
                user = UNSET
            else:
                user = BuildUser.from_dict(_user)
        except (AttributeError, KeyError, TypeError, ValueError) as unreadable:
            raise wire.in_field(src_dict, "user", unreadable) from None

        build_step = cls(
            run,
            env,
            workdir,
            user,
        )

        return build_step
