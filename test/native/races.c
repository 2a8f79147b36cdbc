/*
 * races WHAT [ARGUMENT...]: threads that meet in one vector, and deaths at a bad moment. Prints a
 * line of JSON: what came of it. Whether all was well besides, the test asks of the kernel.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include "calls.h"
#include "common.h"

static int device;

/* --- what the kernel says --------------------------------------------------------------------- */

/* Frames that the system has pinned. Its counters are exact after a write to stat_refresh. */
static long frames_pinned(void) {
  char text[16384];
  int fd = open("/proc/sys/vm/stat_refresh", O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, "1", 1) != 1) die("stat_refresh");
  close(fd);
  fd = open("/proc/vmstat", O_RDONLY | O_CLOEXEC);
  const ssize_t length = read(fd, text, sizeof(text) - 1);
  close(fd);
  if (length <= 0) die("/proc/vmstat");
  text[length] = 0;
  const char* acquired = strstr(text, "nr_foll_pin_acquired ");
  const char* released = strstr(text, "nr_foll_pin_released ");
  if (acquired == NULL || released == NULL) die("nr_foll_pin");
  return atol(strchr(acquired, ' ')) - atol(strchr(released, ' '));
}

/* The letter of /proc/PID/stat. */
static char state_of(pid_t pid) {
  char path[64], text[256] = "";
  snprintf(path, sizeof(path), "/proc/%d/stat", pid);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0) die("%s", path);
  close(fd);
  const char* end = strrchr(text, ')');
  return end == NULL ? '?' : end[2];
}

/* --- calls ------------------------------------------------------------------------------------ */

static struct framevec_stat stat_of(int vector) {
  struct framevec_stat arg = {.size = sizeof(arg)};
  if (call(vector, FRAMEVEC_IOC_STAT, &arg) != 0) die("STAT");
  return arg;
}

/* Memory whose every page begins with its number. */
static void number_pages(char* at, uint64_t pages) {
  for (uint64_t i = 0; i < pages; i++) memcpy(at + i * PAGE, &i, sizeof(i));
}

static void* cold_memory(size_t length) {
  char* at = map(length, -1, MAP_NORESERVE);
  if (madvise(at, length, MADV_NOHUGEPAGE) != 0 && errno != EINVAL) die("MADV_NOHUGEPAGE");
  return at;
}

static pthread_t start(void* (*work)(void*), void* arg) {
  pthread_t id;
  if (pthread_create(&id, NULL, work, arg) != 0) die("pthread_create");
  return id;
}

/* --- threads: eight of them on one vector ----------------------------------------------------- */

#define THREADS 8
#define SHARED_PAGES 64

static struct {
  int vector;
  char *memory, *aperture;
  int rounds;
  atomic_ulong pins, unpins, reads, closes, wrong;
} common;

static void is_wrong(const char* what, long result) {
  if (atomic_fetch_add(&common.wrong, 1) < 10) fprintf(stderr, "%s: %ld\n", what, result);
}

static bool one_of(long result, int a, int b) {
  return result == 0 || result == -a || result == -b;
}

/* Two pages that follow each other in the range do so in what is read, whoever pins meanwhile. */
static void read_through(void) {
  char bytes[2 * PAGE];
  uint64_t first, second;
  const ssize_t length = pread(common.vector, bytes, sizeof(bytes), 0);
  if (length < 0) {
    if (errno != ENODATA) is_wrong("pread", -errno);
    return;
  }
  memcpy(&first, bytes, sizeof(first));
  memcpy(&second, bytes + PAGE, sizeof(second));
  if (length != (ssize_t)sizeof(bytes) || second != first + 1)
    is_wrong("two pages", length);
  else
    atomic_fetch_add(&common.reads, 1);
}

static void replace(void) {
  const int fresh = create(device, SHARED_PAGES);
  /* In one step, so that the others always find a vector: and the old one goes from under them. */
  if (fresh < 0 || dup3(fresh, common.vector, O_CLOEXEC) < 0) die("replace");
  close(fresh);
  atomic_fetch_add(&common.closes, 1);
}

static void* meet(void* arg) {
  unsigned seed = (unsigned)(uintptr_t)arg * 2654435761U + 1;
  uint64_t pfns[4];
  uint32_t counts[4];
  for (int i = 0; i < common.rounds; i++) {
    struct framevec_read_pfns numbers = {
        .size = sizeof(numbers), .count = 2, .pfns = address(pfns)};
    struct framevec_extents extents = {
        .size = sizeof(extents), .capacity = 4, .counts = address(counts)};
    struct framevec_convert convert = {.size = sizeof(convert)};
    struct framevec_pin told;
    struct framevec_stat stat;
    long result;
    switch (rand_r(&seed) % 12) {
      case 0 ... 3: {
        char* from = rand_r(&seed) % 4 == 0 ? common.aperture : common.memory;
        const unsigned skip = (unsigned)rand_r(&seed) % (SHARED_PAGES - 8);
        result = pin(common.vector, from + skip * PAGE, 8 * PAGE, FRAMEVEC_PIN_WRITE, &told);
        if (!one_of(result, EBUSY, EBUSY) || (result == 0 && told.frames != 8))
          is_wrong("PIN", result);
        if (result == 0) atomic_fetch_add(&common.pins, 1);
        break;
      }
      case 4 ... 5:
        result = unpin(common.vector);
        if (!one_of(result, ENODATA, ENODATA)) is_wrong("UNPIN", result);
        if (result == 0) atomic_fetch_add(&common.unpins, 1);
        break;
      case 6 ... 7:
        read_through();
        break;
      case 8:
        result = call(common.vector, FRAMEVEC_IOC_READ_PFNS, &numbers);
        if (!one_of(result, ENODATA, ENODATA)) is_wrong("READ_PFNS", result);
        break;
      case 9:
        result = call(common.vector, FRAMEVEC_IOC_EXTENTS, &extents);
        if (!one_of(result, ENODATA, ENODATA)) is_wrong("EXTENTS", result);
        break;
      case 10:
        result =
            call(common.vector, i % 2 ? FRAMEVEC_IOC_TO_PAGES : FRAMEVEC_IOC_TO_PFNS, &convert);
        if (!one_of(result, ENODATA, ENODATA)) is_wrong("conversion", result);
        stat = stat_of(common.vector);
        if (stat.frames != 0 && stat.frames != 8) is_wrong("STAT", stat.frames);
        break;
      default:
        if (i % 8 == 0) replace();
    }
  }
  return NULL;
}

static void threads(int argc, char** argv) {
  pthread_t ids[THREADS];
  common.rounds = argc > 0 ? atoi(argv[0]) : 2000;
  common.memory = map(SHARED_PAGES * PAGE, -1, MAP_POPULATE);
  common.aperture = map(SHARED_PAGES * PAGE, device, 0);
  number_pages(common.memory, SHARED_PAGES);
  number_pages(common.aperture, SHARED_PAGES);
  common.vector = create(device, SHARED_PAGES);
  for (uintptr_t i = 0; i < THREADS; i++) ids[i] = start(meet, (void*)i);
  for (int i = 0; i < THREADS; i++) pthread_join(ids[i], NULL);
  close(common.vector);
  printf(
      "{\"pins\":%lu,\"unpins\":%lu,\"reads\":%lu,\"closes\":%lu,\"wrong\":%lu,\"charged\":%ld}\n",
      atomic_load(&common.pins), atomic_load(&common.unpins), atomic_load(&common.reads),
      atomic_load(&common.closes), atomic_load(&common.wrong), status_kb("VmPin"));
}

/* --- unmap: the range goes while it is being pinned ------------------------------------------- */

#define MOVING_PAGES 512UL
#define FIRST_OFFSETS 8

static char *arena, *aside;
static atomic_bool done;
/* Rounds that have come through whole. */
static atomic_ulong through;

/* Of each kind of end there shall be some, however slow the machine is. */
#define ENDS 10

/* A round may need longer than any nap: now and then the range stays until one is through. */
static void pause_changes(unsigned* seed, unsigned microseconds) {
  if (rand_r(seed) % 8 != 0) {
    nap(rand_r(seed) % microseconds);
    return;
  }
  const unsigned long before = atomic_load(&through);
  while (atomic_load(&through) == before && !atomic_load(&done)) nap(microseconds / 4);
}

/* Memory: whole, with a hole, moved away and back, write-protected, and whole again. */
static void* change_memory(void* arg) {
  unsigned seed = 7;
  (void)arg;
  while (!atomic_load(&done)) {
    const unsigned hole = (unsigned)rand_r(&seed) % MOVING_PAGES;
    munmap(arena + hole * PAGE, PAGE);
    const size_t half = MOVING_PAGES / 2 * PAGE;
    mmap(arena, MOVING_PAGES * PAGE, PROT_READ | PROT_WRITE,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    mremap(arena + half, half, half, MREMAP_MAYMOVE | MREMAP_FIXED, aside);
    mremap(aside, half, half, MREMAP_MAYMOVE | MREMAP_FIXED, arena + half);
    mprotect(arena + hole * PAGE, PAGE, PROT_READ);
    mprotect(arena + hole * PAGE, PAGE, PROT_READ | PROT_WRITE);
    pause_changes(&seed, 4000);
  }
  return NULL;
}

/* The aperture: at the same place, each time from another page of it on. */
static void* change_aperture(void* arg) {
  unsigned seed = 7;
  (void)arg;
  while (!atomic_load(&done)) {
    const off_t offset = (off_t)((unsigned)rand_r(&seed) % FIRST_OFFSETS * PAGE);
    if (mmap(arena, SHARED_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, device,
             offset) == MAP_FAILED)
      die("aperture");
    pause_changes(&seed, 300);
  }
  return NULL;
}

static void unmap_memory(int rounds) {
  unsigned long refused = 0, wrong = 0;
  const int vector = create(device, MOVING_PAGES);
  const pthread_t changer = start(change_memory, NULL);
  for (int i = 0; i < rounds || atomic_load(&through) < ENDS || refused < ENDS; i++) {
    struct framevec_pin told;
    const int result = pin(vector, arena, MOVING_PAGES * PAGE, FRAMEVEC_PIN_WRITE, &told);
    if (result == 0 && told.frames == MOVING_PAGES && stat_of(vector).frames == MOVING_PAGES)
      atomic_fetch_add(&through, 1);
    else if (result == -EFAULT && told.frames == 0 && stat_of(vector).frames == 0 &&
             told.fail_addr >= address(arena) &&
             told.fail_addr < address(arena) + MOVING_PAGES * PAGE &&
             (told.reason == FRAMEVEC_REASON_NO_MAPPING ||
              told.reason == FRAMEVEC_REASON_NOT_WRITABLE ||
              told.reason == FRAMEVEC_REASON_REFUSED ||
              /* The obstacle was gone when the module asked what it was. */
              told.reason == FRAMEVEC_REASON_UNKNOWN))
      refused++;
    else if (wrong++ < 10)
      fprintf(stderr, "PIN: %d, reason %u, frames %u\n", result, told.reason, told.frames);
    if (result == 0 && unpin(vector) != 0) die("UNPIN");
  }
  atomic_store(&done, true);
  pthread_join(changer, NULL);
  close(vector);
  printf("{\"whole\":%lu,\"refused\":%lu,\"wrong\":%lu,\"charged\":%ld}\n", atomic_load(&through),
         refused, wrong, status_kb("VmPin"));
}

static void unmap_aperture(int rounds) {
  unsigned long stale = 0, wrong = 0;
  static char bytes[SHARED_PAGES * PAGE];
  const int vector = create(device, SHARED_PAGES);
  char* all = map((SHARED_PAGES + FIRST_OFFSETS) * PAGE, device, 0);
  number_pages(all, SHARED_PAGES + FIRST_OFFSETS);
  const pthread_t changer = start(change_aperture, NULL);
  nap(20000);
  for (int i = 0; i < rounds || atomic_load(&through) < ENDS || stale < ENDS; i++) {
    struct framevec_pin told;
    int result = pin(vector, arena, SHARED_PAGES * PAGE, 0, &told);
    /* Between munmap and mmap of MAP_FIXED nobody sees a hole. */
    if (result != 0) {
      if (wrong++ < 10) fprintf(stderr, "PIN: %d, reason %u\n", result, told.reason);
      continue;
    }
    const ssize_t length = pread(vector, bytes, sizeof(bytes), 0);
    const int error = errno;
    uint64_t first = 0, number;
    memcpy(&first, bytes, sizeof(first));
    /* Whatever was read is of one mapping, even if it became stale in the middle of it. */
    for (ssize_t at = 0; at < length; at += (ssize_t)PAGE) {
      memcpy(&number, bytes + at, sizeof(number));
      if (number != first + (uint64_t)at / PAGE && wrong++ < 10)
        fprintf(stderr, "page %ld is %lu after %lu\n", (long)at / 4096, number, first);
    }
    if (length == (ssize_t)sizeof(bytes))
      atomic_fetch_add(&through, 1);
    else if (length >= 0 || error == ESTALE)
      stale++;
    else if (wrong++ < 10)
      fprintf(stderr, "pread: %s\n", strerror(error));
    /* Once stale, always stale. */
    if (length != (ssize_t)sizeof(bytes) && !(stat_of(vector).state & FRAMEVEC_STATE_STALE))
      wrong++;
    if (unpin(vector) != 0) die("UNPIN");
  }
  atomic_store(&done, true);
  pthread_join(changer, NULL);
  close(vector);
  printf("{\"fresh\":%lu,\"stale\":%lu,\"wrong\":%lu,\"charged\":%ld}\n", atomic_load(&through),
         stale, wrong, status_kb("VmPin"));
}

static void unmap(int argc, char** argv) {
  const int rounds = argc > 1 ? atoi(argv[1]) : 500;
  arena = map(MOVING_PAGES * PAGE, -1, 0);
  aside = map(MOVING_PAGES * PAGE, -1, 0);
  if (argc > 0 && strcmp(argv[0], "aperture") == 0) {
    mmap(arena, SHARED_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, device, 0);
    unmap_aperture(rounds);
  } else {
    unmap_memory(rounds);
  }
}

/* --- kill, stop: a signal in the middle of a pin ---------------------------------------------- */

/* What the child has told; its memory and ours. */
struct account {
  atomic_bool begun, ended;
  atomic_int result;
  atomic_uint frames, reason;
};

static struct account* account;

static pid_t pinner(size_t length, uint32_t flags) {
  account = mmap(NULL, sizeof(*account), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (account == MAP_FAILED) die("mmap");
  const pid_t child = fork();
  if (child < 0) die("fork");
  if (child > 0) return child;
  const int vector = create(device, length / PAGE);
  void* memory = cold_memory(length);
  struct framevec_pin told;
  atomic_store(&account->begun, true);
  atomic_store(&account->result, pin(vector, memory, length, FRAMEVEC_PIN_WRITE | flags, &told));
  atomic_store(&account->frames, told.frames);
  atomic_store(&account->reason, told.reason);
  atomic_store(&account->ended, true);
  for (;;) pause();
}

/* Until some of its frames are pinned, and the call is not over: then @signal comes in the pin. */
static long in_the_middle(pid_t child, long before, long frames, int signal) {
  long pinned;
  do {
    if (atomic_load(&account->ended)) die("the pin was over too soon");
    pinned = frames_pinned() - before;
  } while (pinned < frames / 16);
  if (kill(child, signal) != 0) die("kill");
  return pinned;
}

static void kill_in_pin(int argc, char** argv) {
  const size_t length = (argc > 0 ? strtoul(argv[0], NULL, 0) : 1024) << 20;
  const long before = frames_pinned(), frames = (long)(length / PAGE);
  const pid_t child = pinner(length, 0);
  const long pinned = in_the_middle(child, before, frames, SIGKILL);
  int status;
  if (waitpid(child, &status, 0) != child) die("waitpid");
  printf("{\"pinned\":%ld,\"frames\":%ld,\"ended\":%d,\"killed\":%d,\"left\":%ld}\n", pinned,
         frames, atomic_load(&account->ended), WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
         frames_pinned() - before);
}

static void stop_in_pin(int argc, char** argv) {
  const size_t length = (argc > 0 ? strtoul(argv[0], NULL, 0) : 128) << 20;
  const bool partial = argc > 1 && strcmp(argv[1], "partial") == 0;
  const long before = frames_pinned(), frames = (long)(length / PAGE);
  const pid_t child = pinner(length, partial ? FRAMEVEC_PIN_PARTIAL : 0);
  const long pinned = in_the_middle(child, before, frames, SIGSTOP);
  int status;
  if (waitpid(child, &status, WUNTRACED) != child || !WIFSTOPPED(status)) die("it did not stop");
  const char state = state_of(child);
  const long held = frames_pinned() - before;
  nap(200000);
  const long later = frames_pinned() - before;
  const bool ended = atomic_load(&account->ended);
  kill(child, SIGCONT);
  while (!atomic_load(&account->ended)) nap(1000);
  const long after = frames_pinned() - before;
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  printf(
      "{\"pinned\":%ld,\"frames\":%ld,\"state\":\"%c\",\"held\":%ld,\"later\":%ld,\"ended\":%d,"
      "\"result\":%d,\"got\":%u,\"reason\":%u,\"after\":%ld,\"left\":%ld}\n",
      pinned, frames, state, held, later, ended, atomic_load(&account->result),
      atomic_load(&account->frames), atomic_load(&account->reason), after,
      frames_pinned() - before);
}

/* --- forks: children of a process that pins --------------------------------------------------- */

#define FORK_PAGES 256

static void* pin_and_unpin(void* memory) {
  const int vector = create(device, FORK_PAGES);
  struct framevec_pin told;
  while (!atomic_load(&done)) {
    if (pin(vector, memory, FORK_PAGES * PAGE, FRAMEVEC_PIN_WRITE, &told) != 0) die("PIN");
    if (unpin(vector) != 0) die("UNPIN");
  }
  close(vector);
  return NULL;
}

/* A child looks through the vector, writes to its own copy of the memory, and goes in its own way.
 */
static int child_of_storm(int vector, char* memory, int i) {
  uint64_t number = 0;
  if (stat_of(vector).frames != FORK_PAGES) return 10;
  if (pread(vector, &number, sizeof(number), 5 * PAGE) != sizeof(number) || number != 5) return 11;
  memcpy(&number, memory + 5 * PAGE, sizeof(number));
  if (number != 5) return 12;
  memset(memory, 0xee, FORK_PAGES * PAGE);
  if (i % 3 == 0) close(vector);
  if (i % 3 == 1) munmap(memory, FORK_PAGES * PAGE);
  return 0;
}

static void forks(int argc, char** argv) {
  const int children = argc > 0 ? atoi(argv[0]) : 200;
  char* memory = map(FORK_PAGES * PAGE, -1, MAP_POPULATE);
  char* other = map(FORK_PAGES * PAGE, -1, MAP_POPULATE);
  const int vector = create(device, FORK_PAGES);
  struct framevec_pin told;
  int bad = 0, alive = 0, status;
  number_pages(memory, FORK_PAGES);
  if (pin(vector, memory, FORK_PAGES * PAGE, FRAMEVEC_PIN_WRITE, &told) != 0) die("PIN");
  const pthread_t thread = start(pin_and_unpin, other);
  for (int i = 0; i < children; i++) {
    const pid_t child = fork();
    if (child < 0) die("fork");
    if (child == 0) _exit(child_of_storm(vector, memory, i));
    if (++alive < 16) continue;
    if (wait(&status) > 0) bad += status != 0;
    alive--;
  }
  while (wait(&status) > 0) bad += status != 0;
  atomic_store(&done, true);
  pthread_join(thread, NULL);
  /* After all that the frames are still what this process sees. */
  unsigned same = 0;
  for (uint64_t i = 0; i < FORK_PAGES; i++) {
    const uint64_t number = i + 1000;
    uint64_t seen;
    memcpy(&seen, memory + i * PAGE, sizeof(seen));
    if (seen != i || pwrite(vector, &number, sizeof(number), (off_t)(i * PAGE)) != sizeof(number))
      continue;
    memcpy(&seen, memory + i * PAGE, sizeof(seen));
    same += seen == number;
  }
  printf("{\"children\":%d,\"bad\":%d,\"same\":%u,\"charged\":%ld,\"pinned\":%u}\n", children, bad,
         same, status_kb("VmPin"), stat_of(vector).frames);
}

/* --- many: vectors ---------------------------------------------------------------------------- */

static void many(int argc, char** argv) {
  const int wanted = argc > 0 ? atoi(argv[0]) : 10000;
  const struct rlimit limit = {(rlim_t)wanted + 64, (rlim_t)wanted + 64};
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) die("RLIMIT_NOFILE");
  int* vectors = calloc((size_t)wanted, sizeof(*vectors));
  char* memory = map(16 * PAGE, -1, MAP_POPULATE);
  char* aperture = map(16 * PAGE, device, 0);
  const long before = frames_pinned();
  struct framevec_pin told;
  int open = 0, snapshots = 0, stale = 0, failed = 0;
  for (int i = 0; i < wanted; i++) {
    vectors[i] = create(device, 2);
    if (vectors[i] < 0) break;
    open++;
    const bool device_memory = i % 4 == 0;
    snapshots += device_memory;
    failed += pin(vectors[i], (device_memory ? aperture : memory) + i % 8 * (int)PAGE, 2 * PAGE,
                  FRAMEVEC_PIN_WRITE, &told) != 0;
  }
  const long pinned = frames_pinned() - before, charged = status_kb("VmPin");
  /* Each of them is watching. */
  munmap(aperture, 16 * PAGE);
  for (int i = 0; i < open; i += 4)
    stale += (stat_of(vectors[i]).state & FRAMEVEC_STATE_STALE) != 0;
  for (int i = 0; i < open / 2; i++) close(vectors[i]);
  const long half = frames_pinned() - before;
  printf(
      "{\"open\":%d,\"failed\":%d,\"snapshots\":%d,\"stale\":%d,\"pinned\":%ld,\"charged\":%ld,"
      "\"half\":%ld}\n",
      open, failed, snapshots, stale, pinned, charged, half);
}

/* --- exec: by the process that has pinned ----------------------------------------------------- */

/* After exec: the vector is there, is another mm's, and this one is charged nothing. */
static void inherited(int argc, char** argv) {
  const int pages = argc > 0 ? atoi(argv[0]) : -1, snapshot = argc > 1 ? atoi(argv[1]) : -1;
  const int closed = argc > 2 ? atoi(argv[2]) : -1;
  struct framevec_pin told;
  uint64_t number = 0;
  const struct framevec_stat held = stat_of(pages), noted = stat_of(snapshot);
  const ssize_t length = pread(pages, &number, sizeof(number), 3 * PAGE);
  struct pollfd entry = {.fd = snapshot, .events = POLLPRI};
  const int ready = poll(&entry, 1, 0);
  const long charged = status_kb("VmPin"), before = frames_pinned();
  const bool gone = fcntl(closed, F_GETFD) < 0 && errno == EBADF;
  const int unpinned = unpin(pages), snapshot_unpinned = unpin(snapshot);
  void* memory = map(PAGE, -1, 0);
  const int again = pin(pages, memory, PAGE, 0, &told);
  printf(
      "{\"frames\":%u,\"number\":%ld,\"charged\":%ld,\"stale\":%d,\"ready\":%d,\"gone\":%d,"
      "\"unpinned\":%d,\"snapshot\":%d,\"released\":%ld,\"again\":\"%s\",\"reason\":%u}\n",
      held.frames, length == sizeof(number) ? (long)number : -1, charged,
      (noted.state & FRAMEVEC_STATE_STALE) != 0, ready, gone, unpinned, snapshot_unpinned,
      before - frames_pinned(), strerrorname_np(-again), told.reason);
}

static void exec_with_pins(int argc, char** argv) {
  char* memory = map(16 * PAGE, -1, MAP_POPULATE);
  char* aperture = map(4 * PAGE, device, 0);
  const int pages = create(device, 16), snapshot = create(device, 4), closed = create(device, 16);
  struct framevec_pin told;
  char first[16], second[16], third[16];
  (void)argc;
  (void)argv;
  number_pages(memory, 16);
  if (pin(pages, memory, 16 * PAGE, FRAMEVEC_PIN_WRITE, &told) != 0 ||
      pin(snapshot, aperture, 4 * PAGE, 0, &told) != 0 ||
      pin(closed, memory, 16 * PAGE, 0, &told) != 0)
    die("PIN");
  fcntl(pages, F_SETFD, 0);
  fcntl(snapshot, F_SETFD, 0);
  snprintf(first, sizeof(first), "%d", pages);
  snprintf(second, sizeof(second), "%d", snapshot);
  snprintf(third, sizeof(third), "%d", closed);
  execl("/proc/self/exe", "races", "inherited", first, second, third, NULL);
  die("exec");
}

/* --- in-flight: a vector that only a socket has, which only that socket has ---------------------
 */

static void send_descriptor(int socket, int fd) {
  char byte = 0, control[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec iov = {&byte, 1};
  struct msghdr message = {
      .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(fd));
  memcpy(CMSG_DATA(header), &fd, sizeof(fd));
  if (sendmsg(socket, &message, 0) != 1) die("sendmsg");
}

static void in_flight(int argc, char** argv) {
  char* memory = map(16 * PAGE, -1, MAP_POPULATE);
  const long before = frames_pinned();
  struct framevec_pin told;
  int pair[2];
  (void)argc;
  (void)argv;
  const int vector = create(device, 16);
  if (pin(vector, memory, 16 * PAGE, 0, &told) != 0) die("PIN");
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) die("socketpair");
  send_descriptor(pair[0], vector);
  /* A circle: each end waits in the other's queue. Nobody can ever receive the vector. */
  send_descriptor(pair[0], pair[0]);
  send_descriptor(pair[1], pair[1]);
  close(vector);
  const long held = frames_pinned() - before;
  close(pair[0]);
  close(pair[1]);
  /* Sockets are collected when another one is closed. */
  long left = held;
  for (int i = 0; i < 1000 && left > 0; i++) {
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) die("socketpair");
    close(pair[0]);
    close(pair[1]);
    nap(10000);
    left = frames_pinned() - before;
  }
  printf("{\"held\":%ld,\"left\":%ld,\"charged\":%ld}\n", held, left, status_kb("VmPin"));
}

/* --- open: again and again, while the module comes and goes ------------------------------------
 */

struct traffic {
  atomic_bool over;
  atomic_ulong opened, absent, unloaded, refused, wrong;
};

static struct traffic* traffic;

static void unexpected(const char* what) {
  if (atomic_fetch_add(&traffic->wrong, 1) < 10)
    fprintf(stderr, "%s: %s\n", what, strerrorname_np(errno));
}

/* Unloads the module whenever that is possible, and loads it again. */
static void come_and_go(const char* path) {
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) die("%s", path);
  while (!atomic_load(&traffic->over)) {
    if (syscall(SYS_delete_module, "framevec", O_NONBLOCK) == 0) {
      atomic_fetch_add(&traffic->unloaded, 1);
      if (syscall(SYS_finit_module, file, "", 0) != 0) unexpected("finit_module");
    } else if (errno == EWOULDBLOCK || errno == EBUSY) {
      atomic_fetch_add(&traffic->refused, 1);
      nap(100);
    } else {
      unexpected("delete_module");
    }
  }
}

static void open_and_pin(char* memory) {
  struct framevec_pin told;
  const int fd = open(FRAMEVEC_DEVICE, O_RDWR | O_CLOEXEC);
  if (fd < 0) {
    if (errno != ENOENT && errno != ENODEV && errno != ENXIO) unexpected("open");
    atomic_fetch_add(&traffic->absent, 1);
    return;
  }
  const int vector = create(fd, 4);
  if (vector < 0 || pin(vector, memory, 4 * PAGE, 0, &told) != 0)
    unexpected("CREATE and PIN");
  else
    atomic_fetch_add(&traffic->opened, 1);
  /* Now only the vector keeps the module. */
  close(fd);
  nap(1000);
  close(vector);
}

static void reopen(int argc, char** argv) {
  if (argc < 2) die("races reopen SECONDS MODULE");
  const time_t end = time(NULL) + atol(argv[0]);
  char* memory = map(4 * PAGE, -1, MAP_POPULATE);
  int status;
  /* An open device keeps the module. */
  close(device);
  traffic = mmap(NULL, sizeof(*traffic), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (traffic == MAP_FAILED) die("mmap");
  const pid_t child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    come_and_go(argv[1]);
    _exit(0);
  }
  while (time(NULL) < end) {
    open_and_pin(memory);
    nap(1000);
  }
  atomic_store(&traffic->over, true);
  if (waitpid(child, &status, 0) != child || status != 0) die("come_and_go");
  printf("{\"opened\":%lu,\"absent\":%lu,\"unloaded\":%lu,\"refused\":%lu,\"wrong\":%lu}\n",
         atomic_load(&traffic->opened), atomic_load(&traffic->absent),
         atomic_load(&traffic->unloaded), atomic_load(&traffic->refused),
         atomic_load(&traffic->wrong));
}

/* --- hog: pins more than its control group allows ----------------------------------------------
 */

static void hog(int argc, char** argv) {
  const size_t length = (argc > 0 ? strtoul(argv[0], NULL, 0) : 256) << 20;
  struct framevec_pin told;
  const int vector = create(device, length / PAGE);
  printf("{\"vector\":%d}\n", vector);
  fflush(stdout);
  const int result = pin(vector, cold_memory(length), length, FRAMEVEC_PIN_WRITE, &told);
  printf("{\"result\":%d,\"reason\":%u}\n", result, told.reason);
}

/* The vector's own memory is the group's, too: one that is too large is refused, and nobody dies.
 */
static void large(int argc, char** argv) {
  const uint64_t capacity = argc > 0 ? strtoull(argv[0], NULL, 0) : 1 << 24;
  const int vector = create(device, capacity);
  printf("{\"result\":\"%s\"}\n", vector < 0 ? strerrorname_np(-vector) : "0");
}

static const struct subcommand all[] = {
    {"threads", threads},
    {"unmap", unmap},
    {"kill", kill_in_pin},
    {"stop", stop_in_pin},
    {"forks", forks},
    {"many", many},
    {"exec", exec_with_pins},
    {"inherited", inherited},
    {"in-flight", in_flight},
    {"reopen", reopen},
    {"hog", hog},
    {"large", large},
};

int main(int argc, char** argv) {
  device = open(FRAMEVEC_DEVICE, O_RDWR | O_CLOEXEC);
  if (device < 0) die(FRAMEVEC_DEVICE);
  run_subcommand(all, COUNT(all), argc, argv);
  return 0;
}
