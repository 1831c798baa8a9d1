"""Which partition a key belongs to, as Java's clients have it (murmur2)."""

from typing import Final

_MASK: Final = 0xFFFF_FFFF
_SEED: Final = 0x9747_B28C
_FACTOR: Final = 0x5BD1_E995


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a topic with so many that Kafka's default partitioner gives a key of any length."""
    return (_murmur2(key) & 0x7FFF_FFFF) % partitions


def _murmur2(data: bytes) -> int:
    """Return MurmurHash2 of the bytes, 32 bits, with Kafka's seed (A. Appleby's, public domain)."""
    mixed = _SEED ^ len(data)
    whole = len(data) - len(data) % 4
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little") * _FACTOR & _MASK
        word = (word ^ word >> 24) * _FACTOR & _MASK
        mixed = mixed * _FACTOR & _MASK ^ word
    if whole < len(data):
        mixed = (mixed ^ int.from_bytes(data[whole:], "little")) * _FACTOR & _MASK
    mixed = (mixed ^ mixed >> 13) * _FACTOR & _MASK
    return mixed ^ mixed >> 15
