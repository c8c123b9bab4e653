"""Template specs: values that say how a template is built, written in Python, TOML, JSON, YAML or as a Dockerfile.

Nothing here talks to a server. `Template.create(spec=...)`, `plan`, `ensure` and `build_all` take specs.
"""

from superserve.specs import ready
from superserve.specs._files import load_all
from superserve.specs._places import Place
from superserve.specs._problems import SpecProblem
from superserve.specs._spec import TemplateSpec

__all__ = ["Place", "SpecProblem", "TemplateSpec", "load_all", "ready"]
