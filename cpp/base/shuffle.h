// A random order of things, as a pure function of numbers.
#pragma once

#include <cstdint>

namespace nacre {

// An order of `count` things, all orders being equally likely: that of the `number`-th drawing of the `step`-th step
// under a seed. It is the one that NumPy 2 draws, `Generator(Philox(key=[seed, step], counter=[0, 0, 0, number]))
// .permutation(count)`, in a third of the time; and it stays the same when NumPy draws another.
void shuffle(uint64_t seed, uint64_t step, uint64_t number, int64_t count, int64_t* order);

}  // namespace nacre
