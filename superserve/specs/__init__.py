"""Template specs: values that describe how to build a template, from Python, TOML, JSON, YAML or a Dockerfile.

Nothing here talks to a server. `Template.create(spec=...)`, `plan`, `ensure` and `build_all` take specs.
"""

from superserve.specs import ready
from superserve.specs._files import load_all
from superserve.specs._places import Place
from superserve.specs._problems import SpecProblem
from superserve.specs._spec import TemplateSpec

__all__ = ["Place", "SpecProblem", "TemplateSpec", "load_all", "ready"]
