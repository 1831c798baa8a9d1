"""Keys to partitions as Kafka's own clients have it."""

import pytest

from sensorbus.contract.partitioning import _murmur2, partition_of


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (b"21", -973_932_308),
        (b"foobar", -790_332_482),
        (b"a-little-bit-long-string", -985_981_536),
        (b"a-little-bit-longer-string", -1_486_304_829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        (b"abc", 479_470_107),
    ],
)
def test_the_hash_is_that_of_kafkas_own_tests(key: bytes, expected: int) -> None:
    """The cases of its `UtilsTest.testMurmur2`, as Java's signed numbers."""
    assert _murmur2(key) == expected % 2**32


def test_a_partition_is_the_hash_without_its_sign() -> None:
    """As Java's `toPositive` does it."""
    assert partition_of(b"21", 4) == (-973_932_308 % 2**31) % 4
    assert {partition_of(f"device-{number:04d}".encode(), 4) for number in range(100)} == {0, 1, 2, 3}
