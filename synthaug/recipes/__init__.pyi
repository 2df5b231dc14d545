from .schema import Recipe as Recipe, recipe_schema as recipe_schema
from .source import Shipped as Shipped, load_recipe as load_recipe, shipped as shipped, text_of as text_of
from .stages import describe_recipe as describe_recipe, run_recipe as run_recipe
