"""Later."""

from mutations import Mutation

MUTATIONS: dict[str, Mutation] = {}
