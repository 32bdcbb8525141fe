// Threads that run one function together, and meet at barriers that cost a fraction of a microsecond.
//
// Results never depend on the number of threads: work is divided by output, and each part is done in a fixed order. So
// a run that finds the pool in use by another simply goes on alone.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace nacre {

// Where all threads of a team wait for each other.
class Barrier {
 public:
  explicit Barrier(int threads) : threads_(threads) {}
  void wait();

 private:
  const int threads_;
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<uint32_t> turn_{0};
};

// The team that runs a function: `parts` threads, this one being number `part`.
struct Team {
  int part = 0;
  int parts = 1;
  Barrier* barrier = nullptr;

  // Everything written before by any member can be read afterwards by all.
  void wait() const {
    if (barrier) barrier->wait();
  }
};

// Calls work(team) on up to `threads` threads at once, this one included, and returns when all are done. Exceptions are
// the caller's: `work` must not throw. Runs alone if the pool is in use, or the system starts no more threads.
void run_together(int threads, const std::function<void(const Team&)>& work);

// Threads to use: NACRE_THREADS, else OMP_NUM_THREADS, else what affinity and the container's quota allow.
int default_threads();

}  // namespace nacre
