#include "base/pool.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <string>
#include <system_error>

namespace nacre {

namespace {

// 10 to 40 microseconds, as long as processors pause: longer than most waits, much shorter than a time slice.
constexpr int kSpins = 700;
constexpr int kMaxThreads = 256;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Spin while work is about to come; give the core away when it is not.
template <typename Done>
void spin_until(const Done& done) {
  for (int spins = 0; !done(); ++spins) {
    if (spins < kSpins)
      pause();
    else
      sched_yield();
  }
}

class Pool {
 public:
  // Whether there are so many threads, the caller's included, after starting those that are missing. The system may
  // have no more to give.
  bool reaches(int threads) {
    try {
      while (static_cast<int>(threads_.size()) + 1 < threads)
        threads_.emplace_back(
            [this, number = static_cast<int>(threads_.size()) + 1, job = job_.load()] { serve(number, job); });
    } catch (const std::system_error&) {
      return false;
    }
    return true;
  }

  void run(int parts, const std::function<void(const Team&)>& work) {
    Barrier barrier(parts);
    {
      std::lock_guard lock(mutex_);
      work_ = &work;
      parts_ = parts;
      barrier_ = &barrier;
      left_.store(parts - 1, std::memory_order_relaxed);
      job_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    work({0, parts, &barrier});
    spin_until([&] { return left_.load(std::memory_order_acquire) == 0; });
  }

 private:
  void serve(int number, uint64_t seen) {
    for (;;) {
      for (int spins = 0; job_.load(std::memory_order_acquire) == seen && spins < kSpins; ++spins) pause();
      const std::function<void(const Team&)>* work;
      Team team;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return job_.load(std::memory_order_relaxed) != seen; });
        seen = job_.load(std::memory_order_relaxed);
        work = work_;
        team = {number, parts_, barrier_};
      }
      if (number >= team.parts) continue;
      (*work)(team);
      left_.fetch_sub(1, std::memory_order_release);
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  const std::function<void(const Team&)>* work_ = nullptr;
  Barrier* barrier_ = nullptr;
  int parts_ = 0;
  std::atomic<uint64_t> job_{0};
  std::atomic<int> left_{0};
  std::vector<std::thread> threads_;
};

std::atomic<bool> busy{false};
// What kernels keep for each thread is allocated, all of it, when a thread first uses any such variable; where there is
// no memory left for it, the process ends. So a caller takes its own before other threads take what there is.
thread_local volatile bool first_used = false;
Pool* pool = nullptr;  // lives as long as the process: its threads may not be joined while Python shuts down

// Threads do not survive a fork: a child leaves the pool alone and makes its own.
void forget_pool() {
  pool = nullptr;
  busy.store(false);
}

int number_from(const char* name) {
  const char* text = std::getenv(name);
  const long number = text ? std::strtol(text, nullptr, 10) : 0;
  return static_cast<int>(std::clamp<long>(number, 0, kMaxThreads));
}

// Cores that the container's quota amounts to; 0 when there is none.
int quota() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string limit;
  double period = 0;
  if (!(file >> limit >> period) || limit == "max" || period <= 0) return 0;
  return std::max(1, static_cast<int>(std::ceil(std::strtod(limit.c_str(), nullptr) / period)));
}

int cores() {
  cpu_set_t set;
  const int allowed = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  const int limit = quota();
  return limit ? std::min(allowed, limit) : allowed;
}

}  // namespace

void Barrier::wait() {
  const uint32_t turn = turn_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) == threads_ - 1) {
    arrived_.store(0, std::memory_order_relaxed);
    turn_.store(turn + 1, std::memory_order_release);
  } else {
    spin_until([&] { return turn_.load(std::memory_order_acquire) != turn; });
  }
}

void run_together(int threads, const std::function<void(const Team&)>& work) {
  [[maybe_unused]] static const int watched = pthread_atfork(nullptr, nullptr, forget_pool);
  bool free = false;
  if (threads < 2 || !busy.compare_exchange_strong(free, true)) return work({});
  first_used = true;
  if (!pool) pool = new Pool();
  pool->reaches(threads) ? pool->run(threads, work) : work({});
  busy.store(false);
}

int default_threads() {
  for (const char* name : {"NACRE_THREADS", "OMP_NUM_THREADS"})
    if (const int number = number_from(name)) return number;
  return std::min(cores(), kMaxThreads);
}

}  // namespace nacre
