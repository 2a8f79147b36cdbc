/*
 * past_bugs WHAT [ARGUMENT...]: what needs threads or processes of test/guest/past_bugs*.test.ts,
 * where the bugs of others stand that framevec must not have. Prints a line of JSON.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <time.h>

#include "calls.h"
#include "common.h"

#ifndef __NR_memfd_secret
#define __NR_memfd_secret 447
#endif
#ifndef MFD_HUGE_2MB
#define MFD_HUGE_2MB (21U << 26)
#endif

static int device;

static pthread_t start(void* (*run)(void*), void* arg) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, run, arg) != 0) die("thread");
  return thread;
}

/* --- close-at-once ROUNDS (CVE-2025-38595) ------------------------------------------------------
 * One thread creates vectors; another closes every number that the next one may have.
 */

static struct {
  int first;
  atomic_bool done;
  atomic_ulong closed;
} closer;

static void* close_all(void* unused) {
  (void)unused;
  while (!atomic_load(&closer.done))
    for (int i = 0; i < 4; i++)
      if (close(closer.first + i) == 0) atomic_fetch_add(&closer.closed, 1);
  return NULL;
}

static void close_at_once(int argc, char** argv) {
  const int rounds = argc > 0 ? atoi(argv[0]) : 5000;
  char* memory = map(PAGE, -1, MAP_POPULATE);
  unsigned long wrong = 0, pinned = 0, gone = 0;
  const int next = dup(device);
  close(next);
  closer.first = next;
  const pthread_t thread = start(close_all, NULL);
  for (int i = 0; i < rounds || (atomic_load(&closer.closed) < 100 && i < 100 * rounds); i++) {
    struct framevec_pin told;
    const int vector = create(device, 8);
    if (vector < next && wrong++ < 10) fprintf(stderr, "CREATE: %d\n", vector);
    const int result = pin(vector, memory, PAGE, 0, &told);
    if (result == 0)
      pinned++;
    else if (result == -EBADF)
      gone++;
    else if (wrong++ < 10)
      fprintf(stderr, "PIN: %d\n", result);
    close(vector);
  }
  atomic_store(&closer.done, true);
  pthread_join(thread, NULL);
  printf("{\"wrong\":%lu,\"pinned\":%lu,\"gone\":%lu,\"closed\":%lu,\"charged\":%ld}\n", wrong,
         pinned, gone, atomic_load(&closer.closed), status_kb("VmPin"));
}

/* --- secret ROUNDS (CVE-2024-35872) -------------------------------------------------------------
 * Secret memory is faulted in on one processor, and pinned at once on another: the page is then
 * still on its way to the lists of pages that some checks looked at.
 */

#define SECRET_PAGES 64UL

static struct {
  char* at;
  atomic_int touched;
  atomic_bool done;
} secret;

static void run_on(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof(set), &set) != 0) die("sched_setaffinity");
}

static void* touch(void* unused) {
  (void)unused;
  run_on(1);
  for (int i = 0; i < (int)SECRET_PAGES; i++) {
    secret.at[(size_t)i * PAGE] = 1;
    atomic_store(&secret.touched, i + 1);
  }
  return NULL;
}

static void pin_secret(int argc, char** argv) {
  const int rounds = argc > 0 ? atoi(argv[0]) : 20, vector = create(device, 1);
  unsigned long tries = 0, refused = 0, wrong = 0;
  run_on(0);
  for (int i = 0; i < rounds; i++) {
    const int fd = (int)syscall(__NR_memfd_secret, 0);
    if (fd < 0) {
      printf("{\"able\":0}\n");
      return;
    }
    if (ftruncate(fd, SECRET_PAGES * PAGE) != 0) die("ftruncate");
    secret.at = map(SECRET_PAGES * PAGE, fd, 0);
    atomic_store(&secret.touched, 0);
    const pthread_t thread = start(touch, NULL);
    for (int page = 0; page < (int)SECRET_PAGES; page++) {
      struct framevec_pin told;
      while (atomic_load(&secret.touched) <= page) continue;
      const int result = pin(vector, secret.at + (size_t)page * PAGE, PAGE, 0, &told);
      tries++;
      if (result == -EFAULT && told.reason == FRAMEVEC_REASON_SECRET)
        refused++;
      else if (wrong++ < 10)
        fprintf(stderr, "PIN: %d, reason %u\n", result, told.reason);
      if (result == 0) unpin(vector);
    }
    pthread_join(thread, NULL);
    munmap(secret.at, SECRET_PAGES * PAGE);
    close(fd);
  }
  printf("{\"able\":1,\"all_refused\":%d,\"wrong\":%lu}\n", refused == tries, wrong);
}

/* --- unshare ROUNDS (CVE-2025-38085) ------------------------------------------------------------
 * Two processes share a page table of hugetlb memory; one takes its own again and again while the
 * other pins.
 */

#define GIB (1UL << 30)
#define HUGE (2UL << 20)
#define HUGE_PAGES 4UL

static char* map_whole_table(int fd) {
  char* place = mmap(NULL, 2 * GIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (place == MAP_FAILED) die("mmap");
  char* at = (char*)((address(place) + GIB - 1) & ~(GIB - 1));
  at = mmap(at, GIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd, 0);
  if (at == MAP_FAILED) die("mmap of hugetlb memory");
  return at;
}

static void unshare_table(int argc, char** argv) {
  const int rounds = argc > 0 ? atoi(argv[0]) : 300;
  const uint64_t pages = HUGE_PAGES * HUGE / PAGE;
  const int fd = memfd_create("table", MFD_HUGETLB | MFD_HUGE_2MB);
  const int vector = create(device, pages);
  unsigned long wrong = 0, pinned = 0;
  if (fd < 0 || ftruncate(fd, GIB) != 0) die("memfd of hugetlb");
  char* at = map_whole_table(fd);
  for (uint64_t i = 0; i < HUGE_PAGES; i++) memset(at + i * HUGE, (int)(i + 1), HUGE);
  const pid_t child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    for (;;) {
      char* other = map_whole_table(fd);
      for (uint64_t i = 0; i < HUGE_PAGES; i++) (void)*(volatile char*)(other + i * HUGE);
      /* A part of the table: so it can't be shared any more. */
      mprotect(other + HUGE, HUGE, PROT_READ);
      munmap(other + 2 * HUGE, HUGE);
      munmap(other, GIB);
    }
  }
  for (int i = 0; i < rounds; i++) {
    struct framevec_pin told;
    const int result = pin(vector, at, pages * PAGE, FRAMEVEC_PIN_WRITE, &told);
    if (result != 0 || told.frames != pages) {
      if (wrong++ < 10) fprintf(stderr, "PIN: %d, reason %u\n", result, told.reason);
      continue;
    }
    pinned++;
    for (uint64_t j = 0; j < HUGE_PAGES; j++) {
      char byte = 0;
      if (pread(vector, &byte, 1, (off_t)(j * HUGE + (uint64_t)i)) != 1 || byte != (char)(j + 1))
        wrong++;
    }
    if (unpin(vector) != 0) wrong++;
    /* The page table is made anew, to be shared once more. */
    if (i % 8 == 0) {
      munmap(at, GIB);
      nap(1000);
      at = map_whole_table(fd);
    }
  }
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  printf("{\"pinned\":%lu,\"wrong\":%lu,\"charged\":%ld}\n", pinned, wrong, status_kb("VmPin"));
}

static const struct subcommand all[] = {
    {"close-at-once", close_at_once},
    {"secret", pin_secret},
    {"unshare", unshare_table},
};

int main(int argc, char** argv) {
  device = open(FRAMEVEC_DEVICE, O_RDWR | O_CLOEXEC);
  if (device < 0) die(FRAMEVEC_DEVICE);
  run_subcommand(all, COUNT(all), argc, argv);
  return 0;
}
