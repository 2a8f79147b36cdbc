/*
 * fuzz BAR [IOCTLS [SEED [SECONDS]]]: calls that nobody would make, from several threads of several
 * processes at once, on vectors that they share; and beside them a process that shares nothing and
 * checks every answer (oracle.h). It ends well unless a process dies or an answer is wrong; whether
 * all of it was well, the kernel's log, the pin counters and VmPin tell. Prints the seed first, and
 * a line of JSON last: how many calls came to what. BAR is the file of a PCI device's memory.
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#include "common.h"
#include "oracle.h"

#define PROCESSES 3
#define THREADS 3
#define VECTORS 12
#define COMMON 4 /* of them, made before the processes part: the same for all */
#define SLOTS 16
#define SLOT (256 * PAGE)
#define ARENA (SLOTS * SLOT)
/* Above the arena, where nothing is to be had: a read of a whole vector may begin at its last page.
 */
#define BEYOND (16UL << 20)
#define ERRNOS 160
#define LARGE_IN 100000

/* What all processes count together. */
struct totals {
  atomic_flag large; /* one such vector at a time: its array is a gigabyte */
  atomic_ulong larges;
  atomic_ulong calls, ioctls, succeeded, failed[ERRNOS], kinds[3];
};

struct thread {
  uint64_t state;
};

static struct totals* totals;
static struct oracle* oracle;
static int device;
static atomic_int vectors[VECTORS];
/* Memory and aperture mappings come and go here and nowhere else. */
static char* arena;
/* For pointers: a page that can be read only, one after which nothing is, and room. */
static char *read_only, *last, *room;
static unsigned long wanted;
static time_t deadline;

static uint64_t next(struct thread* thread) {
  uint64_t z = (thread->state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

static unsigned below(struct thread* thread, unsigned n) { return (unsigned)(next(thread) % n); }
static bool once_in(struct thread* thread, unsigned n) { return below(thread, n) == 0; }

/* Small, large, and whatever lies at an edge. */
static uint64_t number(struct thread* thread) {
  static const uint64_t edges[] = {0,
                                   1,
                                   0x7fffffff,
                                   0x80000000,
                                   0xffffffff,
                                   0x100000000,
                                   1ULL << 27,
                                   (1ULL << 27) + 1,
                                   1ULL << 40,
                                   0x7fffffffffff,
                                   0x7fffffffffffffff,
                                   0x8000000000000000,
                                   0xffffffffffffffff,
                                   0xfffffffffffff000};
  switch (below(thread, 4)) {
    case 0:
      return edges[below(thread, COUNT(edges))];
    case 1:
      return next(thread);
    default:
      return below(thread, 600);
  }
}

static uint64_t bad_address(struct thread* thread) {
  switch (below(thread, 8)) {
    case 0:
      return 0;
    case 1:
      return 0xffffffff81000000; /* the kernel's text */
    case 2:
      return 0xffff888000000000 | below(thread, 1 << 30); /* its map of memory */
    case 3:
      return 0x8000000000000000; /* none at all */
    case 4:
      return address(read_only) + below(thread, PAGE);
    case 5:
      return address(last) + PAGE - below(thread, 64); /* goes into the hole */
    case 6:
      return 0xfffffffffffff000 | below(thread, PAGE);
    default:
      return 0x7ffffffff000 - below(thread, 64);
  }
}

/* Of the arena, most often on a page's start. */
static uint64_t arena_address(struct thread* thread) {
  const uint64_t page = address(arena) + below(thread, ARENA / PAGE) * PAGE;
  return once_in(thread, 3) ? page + below(thread, PAGE) : page;
}

static uint64_t any_address(struct thread* thread) {
  return once_in(thread, 6) ? bad_address(thread) : arena_address(thread);
}

static void note(long result) {
  atomic_fetch_add(&totals->calls, 1);
  if (result >= 0)
    atomic_fetch_add(&totals->succeeded, 1);
  else
    atomic_fetch_add(&totals->failed[errno < ERRNOS ? errno : 0], 1);
}

static void note_ioctl(long result) {
  atomic_fetch_add(&totals->ioctls, 1);
  note(result);
}

static int some_vector(struct thread* thread) { return vectors[below(thread, VECTORS)]; }

/* The struct of a call, almost right. */
union any {
  struct framevec_info info;
  struct framevec_create create;
  struct framevec_pin pin;
  struct framevec_unpin unpin;
  struct framevec_stat stat;
  struct framevec_read_pfns read_pfns;
  struct framevec_extents extents;
  struct framevec_convert convert;
  uint64_t words[20];
};

static const struct {
  unsigned long number;
  uint32_t size;
} calls[] = {
    {FRAMEVEC_IOC_PIN, sizeof(struct framevec_pin)},
    {FRAMEVEC_IOC_PIN, sizeof(struct framevec_pin)},
    {FRAMEVEC_IOC_PIN, sizeof(struct framevec_pin)},
    {FRAMEVEC_IOC_UNPIN, sizeof(struct framevec_unpin)},
    {FRAMEVEC_IOC_UNPIN, sizeof(struct framevec_unpin)},
    {FRAMEVEC_IOC_STAT, sizeof(struct framevec_stat)},
    {FRAMEVEC_IOC_READ_PFNS, sizeof(struct framevec_read_pfns)},
    {FRAMEVEC_IOC_EXTENTS, sizeof(struct framevec_extents)},
    {FRAMEVEC_IOC_TO_PAGES, sizeof(struct framevec_convert)},
    {FRAMEVEC_IOC_TO_PFNS, sizeof(struct framevec_convert)},
    {FRAMEVEC_IOC_INFO, sizeof(struct framevec_info)},
};

static void fill(struct thread* thread, unsigned which, union any* arg) {
  memset(arg, 0, sizeof(*arg));
  arg->info.size = calls[which].size;
  switch (calls[which].number) {
    case FRAMEVEC_IOC_PIN:
      arg->pin.flags = below(thread, 16);
      if (!once_in(thread, 8)) arg->pin.flags &= ~FRAMEVEC_PIN_FORCE;
      arg->pin.addr = any_address(thread);
      arg->pin.length = once_in(thread, 8)
                            ? number(thread)
                            : 1 + below(thread, once_in(thread, 12) ? 600 * PAGE : 4 * PAGE);
      break;
    case FRAMEVEC_IOC_UNPIN:
      arg->unpin.flags = below(thread, 2);
      break;
    case FRAMEVEC_IOC_READ_PFNS:
      arg->read_pfns.first = once_in(thread, 2) ? 0 : number(thread);
      arg->read_pfns.count = once_in(thread, 2) ? 1 : number(thread);
      arg->read_pfns.pfns = any_address(thread);
      break;
    case FRAMEVEC_IOC_EXTENTS:
      arg->extents.first = once_in(thread, 2) ? 0 : number(thread);
      arg->extents.capacity = once_in(thread, 2) ? 1 + below(thread, 16) : number(thread);
      arg->extents.pfns = once_in(thread, 3) ? 0 : any_address(thread);
      arg->extents.counts = any_address(thread);
      break;
  }
  /* One word in it that does not belong there. */
  if (once_in(thread, 12)) arg->words[below(thread, COUNT(arg->words))] = number(thread);
  if (once_in(thread, 12)) arg->info.size = (uint32_t)number(thread);
}

/* Where the struct lies: most often where it should. */
static uint64_t place(struct thread* thread, const union any* arg) {
  if (once_in(thread, 10)) return bad_address(thread);
  if (once_in(thread, 10)) {
    /* In memory that others may unmap meanwhile; if it is not there now, no harm is done. */
    const uint64_t to = arena_address(thread);
    syscall(SYS_process_vm_writev, getpid(), &(struct iovec){(void*)arg, sizeof(*arg)}, 1UL,
            &(struct iovec){(void*)to, sizeof(*arg)}, 1UL, 0UL);
    return to;
  }
  return address(arg);
}

static void known_call(struct thread* thread) {
  union any arg;
  const unsigned which = below(thread, COUNT(calls));
  fill(thread, which, &arg);
  const int fd = once_in(thread, 20) ? device : some_vector(thread);
  const long result = ioctl(fd, calls[which].number, place(thread, &arg));
  note_ioctl(result);
  if (result != 0 || calls[which].number != FRAMEVEC_IOC_PIN || arg.pin.kind >= 3) return;
  atomic_fetch_add(&totals->kinds[arg.pin.kind], 1);
  /* Left to chance, hardly anybody would meet a stale snapshot before it is unpinned. */
  if (arg.pin.kind == FRAMEVEC_KIND_PFNS && once_in(thread, 2))
    note((long)mmap((void*)(arg.pin.addr & -(uint64_t)PAGE), PAGE, PROT_READ | PROT_WRITE,
                    MAP_FIXED | MAP_SHARED, device, (off_t)(below(thread, 4000) * PAGE)));
}

static void unknown_call(struct thread* thread) {
  union any arg;
  fill(thread, below(thread, COUNT(calls)), &arg);
  const unsigned long nr =
      once_in(thread, 2) ? next(thread) : (FRAMEVEC_IOC_TYPE << 8 | below(thread, 256));
  /* A number that makes a vector nobody would close is for renew(). */
  if ((uint32_t)nr == FRAMEVEC_IOC_CREATE) return;
  note_ioctl(ioctl(once_in(thread, 2) ? device : some_vector(thread), nr, place(thread, &arg)));
}

/* A vector goes, and another one comes in its place; others may be using it. */
static void renew(struct thread* thread) {
  const unsigned index = COMMON + below(thread, VECTORS - COMMON);
  struct framevec_create arg = {.size = sizeof(arg), .capacity = 1 + below(thread, 1200)};
  if (once_in(thread, 6)) arg.capacity = number(thread);
  if (once_in(thread, 20)) arg.flags = (uint32_t)number(thread);
  /* A gigabyte of array is to be had, but it takes many seconds: one for so many ioctls. */
  const bool large = arg.capacity > 1 << 20 && arg.capacity <= 1 << 27;
  if (large) {
    if (atomic_load(&totals->larges) * LARGE_IN > atomic_load(&totals->ioctls)) return;
    if (atomic_flag_test_and_set(&totals->large)) return;
    atomic_fetch_add(&totals->larges, 1);
  }
  const long result = ioctl(device, FRAMEVEC_IOC_CREATE, &arg);
  note_ioctl(result);
  if (large) {
    if (result == 0) close(arg.fd);
    atomic_flag_clear(&totals->large);
    return;
  }
  if (result != 0) return;
  const int old = atomic_exchange(&vectors[index], arg.fd);
  if (old >= 0) close(old);
}

static void transfer(struct thread* thread) {
  const int fd = some_vector(thread);
  void* at = (void*)any_address(thread);
  const size_t length = once_in(thread, 8) ? number(thread) : below(thread, 3 * PAGE);
  const off_t from = once_in(thread, 8) ? (off_t)number(thread) : (off_t)below(thread, 4 * PAGE);
  switch (below(thread, 5)) {
    case 0:
      note(pread(fd, at, length, from));
      break;
    case 1:
      note(pwrite(fd, at, length, from));
      break;
    case 2:
      note(read(fd, at, length));
      break;
    case 3:
      note(write(fd, at, length));
      break;
    default:
      note(lseek(fd, from, (int)below(thread, 5)));
      break;
  }
}

static void wait_for_change(struct thread* thread) {
  struct pollfd entries[2] = {{.fd = some_vector(thread), .events = POLLPRI | POLLIN},
                              {.fd = some_vector(thread), .events = (short)number(thread)}};
  note(poll(entries, 2, once_in(thread, 50) ? 1 : 0));
}

static void mapping(struct thread* thread) {
  char* at = arena + below(thread, SLOTS) * SLOT + below(thread, 8) * PAGE;
  const size_t length = (1 + below(thread, once_in(thread, 3) ? 240 : 8)) * PAGE;
  const int prot = (int)below(thread, 4);
  switch (below(thread, 9)) {
    case 0:
    case 1: {
      const int flags = MAP_FIXED | (once_in(thread, 10) ? MAP_PRIVATE : MAP_SHARED) |
                        (once_in(thread, 3) ? MAP_POPULATE : 0);
      note((long)mmap(at, length, once_in(thread, 2) ? PROT_READ | PROT_WRITE : prot, flags, device,
                      (off_t)(below(thread, 4200) * PAGE)));
      break;
    }
    case 2:
    case 3: {
      const int flags = MAP_FIXED | MAP_ANONYMOUS | (once_in(thread, 3) ? MAP_SHARED : MAP_PRIVATE);
      note((long)mmap(at, length, PROT_READ | PROT_WRITE, flags, -1, 0));
      break;
    }
    case 4:
      note(munmap(at, length));
      break;
    case 5:
      note(mprotect(at, length, prot));
      break;
    case 6:
      note(madvise(at, length, once_in(thread, 2) ? MADV_DONTNEED : (int)below(thread, 26)));
      break;
    case 7: {
      char* to = arena + below(thread, SLOTS) * SLOT;
      note((long)mremap(at, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, to));
      break;
    }
    default:
      note((long)mremap(at, length, PAGE, 0));
      break;
  }
}

/* A child with all that its parent had at some moment, for a moment. */
static void child(struct thread* thread) {
  const long pid = syscall(SYS_fork);
  note(pid);
  if (pid == 0) {
    for (int i = 0; i < 8; i++) {
      known_call(thread);
      transfer(thread);
    }
    syscall(SYS_exit_group, 0);
  }
  if (pid > 0) syscall(SYS_wait4, pid, NULL, 0, NULL);
}

static void look_at_fdinfo(struct thread* thread) {
  char path[64], text[512];
  snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", some_vector(thread));
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  note(fd);
  if (fd < 0) return;
  note(read(fd, text, sizeof(text)));
  close(fd);
}

static bool wrong(void) { return __atomic_load_n(oracle->finding, __ATOMIC_ACQUIRE) != 0; }

/* What else is done, the ioctls shall meet; it takes most of a sanitizing kernel's time. */
static void* work(void* arg) {
  struct thread* thread = arg;
  for (unsigned long i = 0; atomic_load(&totals->ioctls) < wanted; i++) {
    const unsigned what = below(thread, 1000);
    if (what < 715)
      known_call(thread);
    else if (what < 835)
      unknown_call(thread);
    else if (what < 875)
      renew(thread);
    else if (what < 945)
      transfer(thread);
    else if (what < 962)
      wait_for_change(thread);
    else if (what < 997)
      mapping(thread);
    else if (what < 999)
      look_at_fdinfo(thread);
    else if (once_in(thread, 4))
      child(thread);
    if (i % 256 == 0 && (time(NULL) > deadline || wrong())) break;
  }
  return NULL;
}

static int process(unsigned index, uint64_t seed) {
  struct thread threads[THREADS];
  pthread_t ids[THREADS];
  /* One of them is nobody: RLIMIT_MEMLOCK counts, and frame numbers are not for it. */
  if (index == 1) {
    const struct rlimit limit = {64 * PAGE, 64 * PAGE};
    if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0 || setresgid(65534, 65534, 65534) != 0 ||
        setresuid(65534, 65534, 65534) != 0)
      die("nobody");
  }
  for (int i = COMMON; i < VECTORS; i++) vectors[i] = create(device, 1200);
  for (char* slot = arena; slot < arena + ARENA; slot += 2 * SLOT)
    if (mmap(slot, SLOT, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_SHARED, device, 0) == MAP_FAILED)
      die("the aperture");
  for (unsigned i = 0; i < THREADS; i++) {
    threads[i].state = seed + 1000 * index + i;
    for (int warm = 0; warm < 8; warm++) next(&threads[i]);
    if (pthread_create(&ids[i], NULL, work, &threads[i]) != 0) die("pthread_create");
  }
  for (unsigned i = 0; i < THREADS; i++) pthread_join(ids[i], NULL);
  return 0;
}

/* At its own pace, for as long as the others are at work. */
static int checking_process(const char* bar, uint64_t seed) {
  const unsigned long least = wanted / 3 < 10000 ? wanted / 3 : 10000;
  oracle_begin(oracle, device, bar, seed);
  do oracle_round(oracle);
  while (time(NULL) <= deadline &&
         (oracle->steps < least || atomic_load(&totals->ioctls) < wanted));
  return 0;
}

/* Who has found something waits with what it has, and is not waited for. */
static int end_of(pid_t pid) {
  int status;
  while (waitpid(pid, &status, WNOHANG) == 0) {
    if (wrong()) {
      fprintf(stderr, "%s\n", oracle->finding);
      return 1;
    }
    usleep(10000);
  }
  return status;
}

int main(int argc, char** argv) {
  if (argc < 2) die("fuzz BAR [IOCTLS [SEED [SECONDS]]]");
  wanted = argc > 2 ? strtoul(argv[2], NULL, 0) : 20000;
  const uint64_t seed =
      argc > 3 ? strtoull(argv[3], NULL, 0) : (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid();
  const time_t began = time(NULL);
  deadline = began + (argc > 4 ? atol(argv[4]) : 2400);
  printf("seed %llu\n", (unsigned long long)seed);
  fflush(stdout);

  device = open(FRAMEVEC_DEVICE, O_RDWR | O_CLOEXEC);
  if (device < 0) die(FRAMEVEC_DEVICE);
  totals = mmap(NULL, sizeof(*totals), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  oracle = mmap(NULL, sizeof(*oracle), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  arena = mmap(NULL, ARENA + BEYOND, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  room = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (totals == MAP_FAILED || oracle == MAP_FAILED || arena == MAP_FAILED || room == MAP_FAILED)
    die("mmap");
  read_only = room;
  last = room + 2 * PAGE;
  /* No access rather than no mapping: a stack could come to lie in a hole. */
  if (mprotect(arena + ARENA, BEYOND, PROT_NONE) != 0 ||
      mprotect(read_only, PAGE, PROT_READ) != 0 || mprotect(last + PAGE, PAGE, PROT_NONE) != 0)
    die("mprotect");
  for (int i = 0; i < COMMON; i++) vectors[i] = create(device, 1200);

  pid_t pids[PROCESSES];
  for (unsigned i = 0; i < PROCESSES; i++) {
    pids[i] = fork();
    if (pids[i] < 0) die("fork");
    if (pids[i] == 0) _exit(process(i, seed));
  }
  const pid_t checker = fork();
  if (checker < 0) die("fork");
  if (checker == 0) _exit(checking_process(argv[1], seed));
  int worst = 0;
  for (unsigned i = 0; i < PROCESSES; i++) {
    int status;
    if (waitpid(pids[i], &status, 0) != pids[i]) die("waitpid");
    if (status != 0) {
      fprintf(stderr, "process %u ended with status 0x%x\n", i, (unsigned)status);
      worst = 1;
    }
  }
  const int status = end_of(checker);
  if (status != 0) {
    fprintf(stderr, "the process that checks ended with status 0x%x, %ld s after the start\n",
            (unsigned)status, (long)(time(NULL) - began));
    worst = 1;
  }
  printf("{\"calls\":%lu,\"ioctls\":%lu,\"succeeded\":%lu,\"pages\":%lu,\"pfns\":%lu,\"errnos\":{",
         atomic_load(&totals->calls), atomic_load(&totals->ioctls), atomic_load(&totals->succeeded),
         atomic_load(&totals->kinds[FRAMEVEC_KIND_PAGES]),
         atomic_load(&totals->kinds[FRAMEVEC_KIND_PFNS]));
  for (int i = 0, any = 0; i < ERRNOS; i++) {
    const unsigned long count = atomic_load(&totals->failed[i]);
    if (count > 0)
      printf("%s\"%s\":%lu", any++ ? "," : "", i == 0 ? "other" : strerrorname_np(i), count);
  }
  printf("},\"checked\":%lu,\"tries\":[", oracle->steps);
  for (int i = 0; i < TROUBLES; i++)
    printf("%s[%lu,%lu]", i > 0 ? "," : "", oracle->tries[i], oracle->failed[i]);
  puts("]}");
  return worst;
}
