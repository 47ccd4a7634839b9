"""A walk through what can be done to accounts: its steps, and what all of them share."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

from gatehouse.testing import CreateUser
from httpx2 import Response
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from model.comparing import compare
from model.expected import Expected
from model.world import NETWORKS, World

EMAILS = ("ada@example.com", "bob@example.com", "carol@example.com", "dora@example.com")
SPARE = ("eve@example.com", "fay@example.com")  # nobody registers them
ROOT = "root@example.com"
WRONG = "wrong, and long enough"

emails = st.sampled_from(EMAILS)
networks = st.sampled_from(NETWORKS)
rarely = st.integers(0, 7).map(lambda number: number == 7)
mostly = rarely.map(lambda found: not found)

_UUID = re.compile(r"[0-9a-f-]{36}")


@dataclass(frozen=True)
class Verb:
    """Something that is done to the service, and what is drawn for it."""

    function: Callable[..., None]
    draws: dict[str, st.SearchStrategy[Any]]

    def __repr__(self) -> str:
        return self.function.__name__


VERBS: list[Verb] = []
Function = TypeVar("Function", bound=Callable[..., None])


def verb(weight: int, **draws: st.SearchStrategy[Any]) -> Callable[[Function], Function]:
    """Mark a method as one of the verbs. It is chosen as often as its `weight` says."""

    def mark(function: Function) -> Function:
        VERBS.extend([Verb(function, draws)] * weight)
        return function

    return mark


class Perishable(Protocol):
    """What is good for a while."""

    def is_good(self, now: float) -> bool: ...


Thing = TypeVar("Thing", bound=Perishable)


class Walk(RuleBasedStateMachine):
    """One history, compared after each step with what is expected of it."""

    # In all histories together: what was asked, and the answers.
    happened: ClassVar[Counter[str]] = Counter()

    def __init__(self, world: World, create_user: CreateUser) -> None:
        super().__init__()
        self.world = world
        self.expected = Expected()
        self.create_user = create_user
        self._data: st.DataObject | None = None

    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        """One verb. Hypothesis' own choice among rules leaves half of them out of a history."""
        self._data = data
        chosen = self.draw(st.sampled_from(VERBS), "verb")
        chosen.function(self, **{name: self.draw(of, name) for name, of in chosen.draws.items()})

    @invariant()
    def nothing_else_has_happened(self) -> None:
        compare(self.world, self.expected)

    def draw(self, strategy: st.SearchStrategy[Any], label: str) -> Any:
        assert self._data is not None
        return self._data.draw(strategy, label)

    def pick(self, among: Sequence[Thing], label: str) -> Thing:
        """One of several, mostly one that is good still."""
        good = [one for one in among if one.is_good(self.world.now + 1)]
        choice = among if not good or self.draw(rarely, "any") else good
        picked: Thing = self.draw(st.sampled_from(choice[::-1]), label)
        return picked

    def is_void(self, among: Sequence[Perishable]) -> bool:
        """Whether none of them is good; rarely, that is to stay so."""
        good = any(one.is_good(self.world.now + 1) for one in among)
        return not good and not self.draw(rarely, "void")

    def new_password(self) -> str:
        return self.world.name("seven quiet herons at dawn")

    def judge(self, answer: Response, *statuses: int, cut: bool = False, what: str = "") -> None:
        """Fail unless the answer is one of these or, if the process was to die, is none."""
        asked = f"{answer.request.method} {_UUID.sub('…', answer.request.url.path)}"
        self.happened[f"{what or asked}: {answer.status_code}"] += 1
        expected = (*statuses, 500) if cut else statuses
        assert answer.status_code in expected, (asked, answer.status_code, expected, answer.text)

    def fail(self, email: str, network: str) -> None:
        """A wrong password, or what counts as one."""
        self.expected.guesses.wrong(email, network, self.world.now)
        self.expected.fail(email)

    def must_hear(self, email: str, name: str) -> None:
        """A notice that is to be sent, to the address of this moment."""
        self.expected.notices.append((self.world.now, (email, name)))
