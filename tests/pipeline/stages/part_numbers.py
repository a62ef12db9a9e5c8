"""A source whose parts are numbers, of which a test's task makes documents."""

from dataclasses import dataclass

from infra.dataset.manifest import InputRef


@dataclass(frozen=True)
class PartNumber:
    number: int

    @property
    def fingerprint(self) -> str:
        return str(self.number)


@dataclass(frozen=True)
class PartNumbers:
    count: int
    refs: tuple[InputRef, ...] = ()

    def parts(self) -> list[PartNumber]:
        return [PartNumber(number) for number in range(self.count)]
