/*
 * side_effects WHAT [ARGUMENT...]: what a pin does to others besides, by way of soft-dirty bits and
 * userfaultfd. Prints a line of JSON.
 */
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>

#include "common.h"

/* Newer than the headers that some build with. */
#ifndef UFFD_FEATURE_WP_HUGETLBFS_SHMEM
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM (1 << 12)
#endif

#define PAGES 64

static int device;

struct told {
  int result;
  uint32_t frames, reason;
  uint64_t failed; /* page */
};

static struct told pin(int vector, const char* at, uint64_t pages, uint32_t flags) {
  struct framevec_pin arg = {
      .size = sizeof(arg), .flags = flags, .addr = address(at), .length = pages * PAGE};
  const int result = call(vector, FRAMEVEC_IOC_PIN, &arg);
  return (struct told){result, arg.frames, arg.reason,
                       arg.fail_addr == 0 ? 0 : (arg.fail_addr - address(at)) / PAGE};
}

/* A private mapping of a file whose pages have been read, and not written. */
static char* private_file(uint64_t pages) {
  const int file = memfd_create("private", 0);
  char* at;
  if (file < 0 || ftruncate(file, (off_t)(pages * PAGE)) != 0) die("memfd");
  memset(map(pages * PAGE, file, 0), 7, pages * PAGE);
  at = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
  if (at == MAP_FAILED) die("mmap");
  for (uint64_t i = 0; i < pages; i++) (void)*(volatile char*)(at + i * PAGE);
  return at;
}

/* --- soft-dirty ------------------------------------------------------------------------------- */

static int count_dirty(const char* at) {
  uint64_t entries[PAGES];
  int count = 0;
  const int file = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (file < 0 || pread(file, entries, sizeof(entries), (off_t)(address(at) / PAGE * 8)) !=
                      (ssize_t)sizeof(entries))
    die("pagemap");
  close(file);
  for (int i = 0; i < PAGES; i++) count += (int)(entries[i] >> 55 & 1);
  return count;
}

static void soft_dirty(int argc, char** argv) {
  (void)argc, (void)argv;
  char* at = private_file(PAGES);
  const int vector = create(device, PAGES);
  const int refs = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
  if (refs < 0 || write(refs, "4", 1) != 1) die("clear_refs");
  const int before = count_dirty(at);
  const struct told told = pin(vector, at, PAGES, 0);
  const int after = count_dirty(at);
  close(vector);
  /* The bit works here. */
  at[0] = 1;
  printf("{\"result\":%d,\"before\":%d,\"after\":%d,\"written\":%d}\n", told.result, before, after,
         count_dirty(at));
}

/* --- userfaultfd ------------------------------------------------------------------------------ */

static struct {
  int uffd, stop[2];
  char *memory, *source;
  uint64_t pages;
  atomic_int events, unserved;
  atomic_int per_page[PAGES];
} monitor;

static int open_uffd(uint64_t features) {
  struct uffdio_api api = {.api = UFFD_API, .features = features};
  const int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) die("userfaultfd");
  if (ioctl(fd, UFFDIO_API, &api) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

static bool watch(int uffd, char* at, uint64_t pages, uint64_t mode) {
  struct uffdio_register arg = {.range = {address(at), pages * PAGE}, .mode = mode};
  return ioctl(uffd, UFFDIO_REGISTER, &arg) == 0;
}

/* Serves each missing page with the number of the page; lifts a write protection. */
static void serve(const struct uffd_msg* message) {
  const uint64_t where = message->arg.pagefault.address & ~(PAGE - 1);
  const uint64_t index = (where - address(monitor.memory)) / PAGE;
  if (index < PAGES) atomic_fetch_add(&monitor.per_page[index], 1);
  atomic_fetch_add(&monitor.events, 1);
  if (message->arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP) {
    struct uffdio_writeprotect arg = {.range = {where, PAGE}};
    ioctl(monitor.uffd, UFFDIO_WRITEPROTECT, &arg);
    return;
  }
  memcpy(monitor.source, &index, sizeof(index));
  struct uffdio_copy arg = {.dst = where, .src = address(monitor.source), .len = PAGE};
  if (ioctl(monitor.uffd, UFFDIO_COPY, &arg) != 0) atomic_fetch_add(&monitor.unserved, 1);
}

static void* attend(void* unused) {
  struct pollfd files[2] = {{monitor.uffd, POLLIN, 0}, {monitor.stop[0], POLLIN, 0}};
  (void)unused;
  for (;;) {
    struct uffd_msg message;
    if (poll(files, 2, -1) < 0) die("poll");
    if (files[1].revents != 0) return NULL;
    while (read(monitor.uffd, &message, sizeof(message)) == (ssize_t)sizeof(message))
      if (message.event == UFFD_EVENT_PAGEFAULT) serve(&message);
  }
}

static pthread_t start_monitor(int uffd, char* memory, uint64_t pages) {
  pthread_t thread;
  monitor.uffd = uffd;
  monitor.memory = memory;
  monitor.pages = pages;
  monitor.source = map(PAGE, -1, MAP_POPULATE);
  if (pipe(monitor.stop) != 0 || pthread_create(&thread, NULL, attend, NULL) != 0) die("thread");
  return thread;
}

static void end_monitor(pthread_t thread) {
  if (write(monitor.stop[1], "", 1) != 1) die("write");
  pthread_join(thread, NULL);
}

/* A pin for read of write-protected private file memory: no event, where the kernel can do this. */
static void write_protect(int argc, char** argv) {
  (void)argc, (void)argv;
  const int uffd = open_uffd(UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM);
  char* at = private_file(PAGES);
  struct uffdio_writeprotect arg = {.range = {address(at), PAGES * PAGE},
                                    .mode = UFFDIO_WRITEPROTECT_MODE_WP};
  if (uffd < 0 || !watch(uffd, at, PAGES, UFFDIO_REGISTER_MODE_WP)) {
    printf("{\"able\":0}\n");
    return;
  }
  if (ioctl(uffd, UFFDIO_WRITEPROTECT, &arg) != 0) die("UFFDIO_WRITEPROTECT");
  const pthread_t thread = start_monitor(uffd, at, PAGES);
  const int vector = create(device, PAGES);
  const struct told told = pin(vector, at, PAGES, 0);
  const int events = atomic_load(&monitor.events);
  close(vector);
  /* The monitor works. */
  at[0] = 1;
  end_monitor(thread);
  printf("{\"able\":1,\"result\":%d,\"events\":%d,\"after\":%d}\n", told.result, events,
         atomic_load(&monitor.events));
}

/* missing read|write: the pages come from the monitor, each is asked for once, and is the one. */
static void missing(int argc, char** argv) {
  const uint32_t flags = argc > 0 && strcmp(argv[0], "write") == 0 ? FRAMEVEC_PIN_WRITE : 0;
  const int uffd = open_uffd(0);
  char* at = map(PAGES * PAGE, -1, 0);
  int most = 0, wrong = 0;
  if (madvise(at, PAGES * PAGE, MADV_NOHUGEPAGE) != 0 && errno != EINVAL) die("MADV_NOHUGEPAGE");
  if (uffd < 0 || !watch(uffd, at, PAGES, UFFDIO_REGISTER_MODE_MISSING)) die("UFFDIO_REGISTER");
  const pthread_t thread = start_monitor(uffd, at, PAGES);
  const int vector = create(device, PAGES);
  const struct told told = pin(vector, at, PAGES, flags);
  end_monitor(thread);
  for (uint64_t i = 0; told.result == 0 && i < PAGES; i++) {
    uint64_t seen = ~0UL;
    if (pread(vector, &seen, sizeof(seen), (off_t)(i * PAGE)) != (ssize_t)sizeof(seen) || seen != i)
      wrong++;
  }
  for (int i = 0; i < PAGES; i++)
    if (atomic_load(&monitor.per_page[i]) > most) most = atomic_load(&monitor.per_page[i]);
  close(vector);
  printf("{\"result\":%d,\"frames\":%u,\"reason\":%u,\"events\":%d,\"most\":%d,\"wrong\":%d}\n",
         told.result, told.frames, told.reason, atomic_load(&monitor.events), most, wrong);
}

/*
 * reason end-of-file|poison|hole: pages, then one that can't be pinned, then pages that nobody
 * will ever serve: the reason is told without them.
 */
static void reason(int argc, char** argv) {
  const char* what = argc > 0 ? argv[0] : "end-of-file";
  const int uffd = open_uffd(0), file = memfd_create("short", 0);
  char* at = map(12 * PAGE, -1, 0);
  if (madvise(at, 12 * PAGE, MADV_NOHUGEPAGE) != 0 && errno != EINVAL) die("MADV_NOHUGEPAGE");
  memset(at, 1, 4 * PAGE);
  if (file < 0 || ftruncate(file, PAGE) != 0) die("memfd");
  if (uffd < 0 || !watch(uffd, at + 5 * PAGE, 7, UFFDIO_REGISTER_MODE_MISSING))
    die("UFFDIO_REGISTER");
  if (strcmp(what, "end-of-file") == 0) {
    if (mmap(at + 4 * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, PAGE) ==
        MAP_FAILED)
      die("mmap");
  } else if (strcmp(what, "hole") == 0) {
    munmap(at + 4 * PAGE, PAGE);
  } else {
    at[4 * PAGE] = 1;
    /* By a child that shares the page: it may cost the process its life. */
    const pid_t child = fork();
    if (child < 0) die("fork");
    if (child == 0) {
      signal(SIGBUS, SIG_IGN);
      _exit(madvise(at + 4 * PAGE, PAGE, MADV_HWPOISON) != 0);
    }
    waitpid(child, NULL, 0);
  }
  alarm(60);
  const int vector = create(device, 12);
  const struct told told = pin(vector, at, 12, 0);
  const struct told partial = pin(vector, at, 12, FRAMEVEC_PIN_PARTIAL);
  printf("{\"result\":%d,\"reason\":%u,\"failed\":%lu,\"held\":%u}\n", told.result, told.reason,
         told.failed, partial.frames);
  close(vector);
}

static const struct subcommand all[] = {
    {"soft-dirty", soft_dirty},
    {"write-protect", write_protect},
    {"missing", missing},
    {"reason", reason},
};

int main(int argc, char** argv) {
  device = open(FRAMEVEC_DEVICE, O_RDWR | O_CLOEXEC);
  if (device < 0) die(FRAMEVEC_DEVICE);
  run_subcommand(all, COUNT(all), argc, argv);
  return 0;
}
