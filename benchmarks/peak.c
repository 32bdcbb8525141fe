// What the machine can do, for comparison: float32 multiply-adds in registers, and reading memory.
// Prints two numbers: operations per second (a multiply-add counts as two), bytes per second; best of some rounds.
//   peak THREADS ROUNDS
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__AVX512F__)
#define BYTES 64
#define CHAINS 24
#elif defined(__AVX__)
#define BYTES 32
#define CHAINS 12
#elif defined(__aarch64__)
#define BYTES 16
#define CHAINS 24
#else
#define BYTES 16
#define CHAINS 12
#endif

typedef float vec __attribute__((vector_size(BYTES)));
enum { LANES = BYTES / 4, TURNS = 1 << 20, MOST = 1024 };
static const size_t memory = (size_t)256 << 20;

static vec* block;
static int threads;
static pthread_barrier_t together;
static volatile float factor = 0.999f, term = 0.001f, sink;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// As many independent chains as there are registers for, so that none waits for another.
static void multiply_add(void) {
  vec acc[CHAINS], a = factor - (vec){0}, b = term - (vec){0};
#pragma GCC unroll 24
  for (int c = 0; c < CHAINS; c++) acc[c] = a + (float)c;
  for (int turn = 0; turn < TURNS; turn++) {
#pragma GCC unroll 24
    for (int c = 0; c < CHAINS; c++) acc[c] = acc[c] * a + b;
    // Each turn is made as written, none merged with the next.
    __asm__ volatile("" ::: "memory");
  }
#pragma GCC unroll 24
  for (int c = 1; c < CHAINS; c++) acc[0] += acc[c];
  sink = acc[0][0];
}

static void read_memory(int part) {
  size_t count = memory / sizeof(vec) / (size_t)threads / 4 * 4;
  const vec* from = block + count * (size_t)part;
  vec s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
  for (size_t n = 0; n < count; n += 4) {
    s0 += from[n];
    s1 += from[n + 1];
    s2 += from[n + 2];
    s3 += from[n + 3];
  }
  s0 += s1 + s2 + s3;
  sink = s0[0];
}

static double begun, best[2] = {1e9, 1e9};

static void* work(void* argument) {
  int part = (int)(size_t)argument, rounds = (int)((size_t)argument >> 32);
  for (int round = 0; round < 2 * rounds; round++) {
    pthread_barrier_wait(&together);
    if (part == 0) begun = now();
    pthread_barrier_wait(&together);
    round % 2 ? read_memory(part) : multiply_add();
    pthread_barrier_wait(&together);
    if (part == 0 && now() - begun < best[round % 2]) best[round % 2] = now() - begun;
  }
  return NULL;
}

int main(int count, char** arguments) {
  threads = count > 1 ? atoi(arguments[1]) : 1;
  size_t rounds = count > 2 ? (size_t)atoi(arguments[2]) : 5;
  if (threads < 1 || threads > MOST) return 1;
  block = aligned_alloc(4096, memory);
  if (!block) return 1;
  memset(block, 0, memory);
  pthread_barrier_init(&together, NULL, (unsigned)threads);
  pthread_t started[MOST];
  for (int t = 1; t < threads; t++) pthread_create(&started[t], NULL, work, (void*)((size_t)t | rounds << 32));
  work((void*)(rounds << 32));
  for (int t = 1; t < threads; t++) pthread_join(started[t], NULL);
  printf("%.6e %.6e\n", 2.0 * LANES * CHAINS * TURNS * threads / best[0], (double)memory / best[1]);
  return 0;
}
