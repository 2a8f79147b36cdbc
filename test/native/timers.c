/*
 * timers WHAT PERIOD_US MIB FLAGS: a call under a timer whose signals have a handler. PERIOD_US: 0
 * is an eighth of what the call takes. WHAT: pin, snapshot, read or write (of a pin). FLAGS:
 * "restart" for SA_RESTART, or "plain". Prints a line of JSON: what came of the call, and how many
 * signals came.
 *
 * timers kill WHAT MIB: SIGKILL in the middle of such calls; prints how long the end took.
 *
 * timers kill-read PATH MIB: SIGKILL in the middle of a read() of device memory; prints how many
 * bytes it copied before it ended.
 */
#include <signal.h>
#include <stdbool.h>
#include <sys/time.h>
#include <time.h>

#include "common.h"

static volatile sig_atomic_t signals;

static void count_signal(int number) {
  (void)number;
  signals++;
}

static double now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static void nap(long microseconds) {
  const struct timespec time = {microseconds / 1000000, microseconds % 1000000 * 1000};
  while (nanosleep(&time, NULL) != 0) continue;
}

static void set_timer(long microseconds) {
  const struct timeval period = {microseconds / 1000000, microseconds % 1000000};
  const struct itimerval timer = {period, period};
  if (setitimer(ITIMER_REAL, &timer, NULL) != 0) die("setitimer");
}

struct work {
  const char* what;
  size_t length;
  char *memory, *buffer;
  int vector;
};

static long do_pin(const struct work* work) {
  struct framevec_pin arg = {.size = sizeof(arg),
                             .flags = strcmp(work->what, "snapshot") == 0 ? 0 : FRAMEVEC_PIN_WRITE,
                             .addr = address(work->memory),
                             .length = work->length};
  const int result = call(work->vector, FRAMEVEC_IOC_PIN, &arg);
  return result < 0 ? result : (long)arg.frames;
}

static void unpin(const struct work* work) {
  struct framevec_unpin arg = {.size = sizeof(arg)};
  if (call(work->vector, FRAMEVEC_IOC_UNPIN, &arg) != 0) die("UNPIN");
}

static void prepare(struct work* work, const char* what, size_t length) {
  const int device = open(FRAMEVEC_DEVICE, O_RDWR | O_CLOEXEC);
  const bool transfers = strcmp(what, "read") == 0 || strcmp(what, "write") == 0;
  if (device < 0) die(FRAMEVEC_DEVICE);
  *work = (struct work){.what = what, .length = length};
  work->vector = create(device, length / PAGE);
  if (work->vector < 0) die("CREATE");
  if (strcmp(what, "snapshot") == 0) {
    work->memory = map(length, device, 0);
    return;
  }
  work->memory = map(length, -1, 0);
  if (madvise(work->memory, length, MADV_NOHUGEPAGE) != 0 && errno != EINVAL)
    die("MADV_NOHUGEPAGE");
  memset(work->memory, 1, length);
  if (transfers) {
    work->buffer = map(length, -1, 0);
    memset(work->buffer, 2, length);
    if (do_pin(work) != (long)(length / PAGE)) die("PIN");
  }
}

static long do_it(const struct work* work) {
  ssize_t result;
  if (work->buffer == NULL) return do_pin(work);
  result = strcmp(work->what, "read") == 0 ? pread(work->vector, work->buffer, work->length, 0)
                                           : pwrite(work->vector, work->buffer, work->length, 0);
  return result < 0 ? -errno : (long)(result / (ssize_t)PAGE);
}

static int under_timer(const char* what, long period, size_t length, bool restart) {
  struct sigaction action = {.sa_handler = count_signal, .sa_flags = restart ? SA_RESTART : 0};
  struct work work;
  double began, ms;
  long result;
  bool right;
  prepare(&work, what, length);
  sigaction(SIGALRM, &action, NULL);
  if (period == 0) {
    /* A part of what the call takes without a timer, once its code has been executed before. */
    for (int i = 0; i < 2; i++) {
      began = now_ms();
      if (do_it(&work) != (long)(length / PAGE)) die("%s", what);
      period = (long)((now_ms() - began) * 1e3 / 8) + 1;
      if (work.buffer == NULL) unpin(&work);
    }
  }
  set_timer(period);
  began = now_ms();
  result = do_it(&work);
  ms = now_ms() - began;
  set_timer(0);
  right = work.buffer == NULL || memcmp(work.buffer, work.memory, length) == 0;
  if (work.buffer != NULL || result > 0) unpin(&work);
  printf("{\"result\":%ld,\"frames\":%zu,\"right\":%d,\"signals\":%d,\"ms\":%.1f}\n", result,
         length / PAGE, right, (int)signals, ms);
  return 0;
}

static int killed(const char* what, size_t length) {
  long worst_us = 0;
  for (int round = 0; round < 5; round++) {
    int ready[2], status;
    char byte;
    if (pipe(ready) != 0) die("pipe");
    const pid_t child = fork();
    if (child < 0) die("fork");
    if (child == 0) {
      struct work work;
      prepare(&work, what, length);
      if (write(ready[1], "r", 1) != 1) die("write");
      for (;;) {
        if (do_it(&work) != (long)(length / PAGE)) die("%s", what);
        if (work.buffer == NULL) unpin(&work);
      }
    }
    close(ready[1]);
    if (read(ready[0], &byte, 1) != 1) die("the child was not ready");
    close(ready[0]);
    nap(3000 + 5000 * round);
    const double began = now_ms();
    kill(child, SIGKILL);
    if (waitpid(child, &status, 0) != child) die("waitpid");
    if (!WIFSIGNALED(status)) die("the child ended by itself");
    const long us = (long)((now_ms() - began) * 1e3);
    if (us > worst_us) worst_us = us;
  }
  printf("{\"worst_us\":%ld}\n", worst_us);
  return 0;
}

/* Reads all of a device's memory through a vector. */
static void read_device(const char* path, size_t length, char* buffer) {
  const int device = open(FRAMEVEC_DEVICE, O_RDWR | O_CLOEXEC),
            bar = open(path, O_RDWR | O_CLOEXEC);
  if (device < 0 || bar < 0) die("%s", path);
  const struct work work = {"snapshot", length, map(length, bar, 0), buffer,
                            create(device, length / PAGE)};
  if (do_pin(&work) != (long)(length / PAGE)) die("PIN");
  if (pread(work.vector, buffer, length, 0) != (ssize_t)length) die("pread");
  close(work.vector);
  munmap(work.memory, length);
  close(bar);
  close(device);
}

/* Bytes that the read() of a process which is killed in it has still copied; less than all in one
 * of the rounds. */
static int killed_in_read(const char* path, size_t length) {
  enum { ROUNDS = 20, UNTOUCHED = 0xa5 };
  char* buffer =
      mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  size_t least = length;
  if (buffer == MAP_FAILED) die("mmap");
  for (int round = 0; round < ROUNDS && least == length; round++) {
    memset(buffer, UNTOUCHED, length);
    const pid_t child = fork();
    if (child < 0) die("fork");
    if (child == 0) {
      read_device(path, length, buffer);
      pause();
    }
    while (*(volatile char*)buffer == (char)UNTOUCHED) continue;
    kill(child, SIGKILL);
    if (waitpid(child, NULL, 0) != child) die("waitpid");
    size_t copied = length;
    while (copied > 0 && buffer[copied - 1] == (char)UNTOUCHED) copied--;
    if (copied < least) least = copied;
  }
  printf("{\"bytes\":%zu,\"least\":%zu}\n", length, least);
  return 0;
}

int main(int argc, char** argv) {
  if (argc == 4 && strcmp(argv[1], "kill") == 0)
    return killed(argv[2], strtoul(argv[3], NULL, 0) << 20);
  if (argc == 4 && strcmp(argv[1], "kill-read") == 0)
    return killed_in_read(argv[2], strtoul(argv[3], NULL, 0) << 20);
  if (argc == 5)
    return under_timer(argv[1], atol(argv[2]), strtoul(argv[3], NULL, 0) << 20,
                       strcmp(argv[4], "restart") == 0);
  errno = EINVAL;
  die("timers WHAT PERIOD_US MIB restart|plain, or timers kill WHAT MIB");
}
