#include "base/shuffle.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/philox.h"

namespace nacre {

namespace {

constexpr int64_t kPlaces = 256;

// The stream of words that begins behind counter (0, 0, 0, number).
class Words {
 public:
  Words(std::array<uint64_t, 2> key, uint64_t number) : key_(key), number_(number) {}

  uint64_t next64() {
    if (at_ == kAtOnce) draw();
    return words_[at_++];
  }

  // The lower half of a word, then the upper one.
  uint32_t next32() {
    halved_ = !halved_;
    if (!halved_) return static_cast<uint32_t>(word_ >> 32);
    word_ = next64();
    return static_cast<uint32_t>(word_);
  }

 private:
  static constexpr int kAtOnce = 64;  // so that the processor works on several at a time

  void draw() {
    for (at_ = 0; at_ < kAtOnce; at_ += 4) {
      const auto words = philox(key_, {++count_, 0, 0, number_});
      for (int n = 0; n < 4; ++n) words_[at_ + n] = words[n];
    }
    at_ = 0;
  }

  std::array<uint64_t, 2> key_;
  uint64_t number_, count_ = 0, word_ = 0, words_[kAtOnce];
  int at_ = kAtOnce;
  bool halved_ = false;
};

}  // namespace

void shuffle(uint64_t seed, uint64_t step, uint64_t number, int64_t count, int64_t* order) {
  for (int64_t i = 0; i < count; ++i) order[i] = i;
  Words words({seed, step}, number);
  // From the last thing on, each changes places with one of those up to itself (Durstenfeld, CACM 7, 1964): a word, cut
  // to the bits that the largest place has, names one, or is no place and the next one is asked. Whether it is one
  // nobody can predict: so places are collected without a branch, some of them at a time, and then used.
  for (int64_t last = count - 1; last > 0;) {
    const bool wide = last > UINT32_MAX;
    const int64_t mask = std::bit_ceil(static_cast<uint64_t>(last) + 1) - 1, room = std::min(kPlaces, last - mask / 2);
    int64_t places[kPlaces], found = 0;
    while (found < room) {
      places[found] = (wide ? words.next64() : words.next32()) & mask;
      found += places[found] <= last - found;
    }
    for (int64_t n = 0; n < found; ++n) std::swap(order[last - n], order[places[n]]);
    last -= found;
  }
}

}  // namespace nacre
