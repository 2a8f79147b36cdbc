/*
 * stale WHAT [ARGUMENT...]: a mapping of device memory that changes at a bad moment, and what a
 * snapshot of it tells then. Prints a line of JSON.
 */
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <time.h>

#include "common.h"

static int device;

static double now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static void nap(long microseconds) {
  const struct timespec time = {microseconds / 1000000, microseconds % 1000000 * 1000};
  nanosleep(&time, NULL);
}

static pthread_t start(void* (*run)(void*), void* arg) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, run, arg) != 0) die("thread");
  return thread;
}

static int pin(int vector, const void* at, uint64_t pages, uint32_t flags,
               struct framevec_pin* told) {
  *told = (struct framevec_pin){
      .size = sizeof(*told), .flags = flags, .addr = address(at), .length = pages * PAGE};
  return call(vector, FRAMEVEC_IOC_PIN, told);
}

static void unpin(int vector) {
  struct framevec_unpin arg = {.size = sizeof(arg)};
  if (call(vector, FRAMEVEC_IOC_UNPIN, &arg) != 0) die("UNPIN");
}

static bool is_stale(int vector) {
  struct framevec_stat arg = {.size = sizeof(arg)};
  if (call(vector, FRAMEVEC_IOC_STAT, &arg) != 0) die("STAT");
  return (arg.state & FRAMEVEC_STATE_STALE) != 0;
}

/* --- a mapping that another thread replaces again and again, until it is told to stop -----------
 */

#define MOVING_PAGES 16UL
#define OFFSETS 8UL
#define ENDS 10
#define SOME_MS 20e3
#define MOST_MS 200e3
/* Of memory that is no page of the aperture. */
#define OF_MEMORY 0xa0000UL

static struct {
  char* at;
  bool into_memory;
  atomic_bool hold, held, done;
  atomic_ulong replaced;
} moving;

static void replace(unsigned* seed) {
  const bool memory = moving.into_memory && rand_r(seed) % 2 == 0;
  const off_t offset = (off_t)((unsigned long)rand_r(seed) % OFFSETS * PAGE);
  char* at = mmap(moving.at, MOVING_PAGES * PAGE, PROT_READ | PROT_WRITE,
                  MAP_FIXED | (memory ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED),
                  memory ? -1 : device, memory ? 0 : offset);
  if (at == MAP_FAILED) die("mmap");
  for (uint64_t i = 0; memory && i < MOVING_PAGES; i++)
    memcpy(at + i * PAGE, &(uint64_t){OF_MEMORY + i}, sizeof(uint64_t));
}

static void* move(void* unused) {
  unsigned seed = 11;
  (void)unused;
  while (!atomic_load(&moving.done)) {
    atomic_store(&moving.held, atomic_load(&moving.hold));
    if (atomic_load(&moving.held)) continue;
    replace(&seed);
    atomic_fetch_add(&moving.replaced, 1);
    /* So that now and then a pin comes to its end. */
    if (rand_r(&seed) % 4 == 0) nap(rand_r(&seed) % 1000);
  }
  return NULL;
}

/*
 * Pins what moves. Then the movement stops, and a snapshot that is not stale has to be of what is
 * mapped: each page begins with its number.
 */
static void look_at_moving(int rounds, bool into_memory) {
  unsigned long fresh = 0, stale = 0, refused = 0, wrong = 0, of_memory = 0;
  const int vector = create(device, MOVING_PAGES);
  char* all = map((MOVING_PAGES + OFFSETS) * PAGE, device, 0);
  for (uint64_t i = 0; i < MOVING_PAGES + OFFSETS; i++) memcpy(all + i * PAGE, &i, sizeof(i));
  moving.at = map(MOVING_PAGES * PAGE, device, 0);
  moving.into_memory = into_memory;
  const pthread_t mover = start(move, NULL);
  /* On a machine that is busy the threads seldom run at the same time. */
  const double began = now_ms();
  for (int i = 0;
       (i < rounds && now_ms() < began + SOME_MS) || (fresh < ENDS && now_ms() < began + MOST_MS);
       i++) {
    struct framevec_pin told;
    const unsigned long before = atomic_load(&moving.replaced);
    while (atomic_load(&moving.replaced) == before) continue;
    const int result = pin(vector, moving.at, MOVING_PAGES, 0, &told);
    atomic_store(&moving.hold, true);
    while (!atomic_load(&moving.held)) continue;
    if (result != 0) {
      refused++;
      /* The last two: it was memory first, and device memory when it was to be pinned. */
      if (!into_memory || result != -EFAULT ||
          (told.reason != FRAMEVEC_REASON_KIND_CHANGES &&
           told.reason != FRAMEVEC_REASON_DEVICE_FAULT && told.reason != FRAMEVEC_REASON_REFUSED &&
           /* The mapping has changed again before the reason was looked for. */
           told.reason != FRAMEVEC_REASON_UNKNOWN)) {
        if (wrong++ < 10) fprintf(stderr, "PIN: %d, reason %u\n", result, told.reason);
      }
    } else if (told.kind != FRAMEVEC_KIND_PFNS) {
      of_memory++;
    } else if (is_stale(vector)) {
      stale++;
    } else {
      fresh++;
      for (uint64_t page = 0; page < MOVING_PAGES; page++) {
        uint64_t noted = ~0UL, mapped;
        if (pread(vector, &noted, sizeof(noted), (off_t)(page * PAGE)) < 0) die("pread");
        memcpy(&mapped, moving.at + page * PAGE, sizeof(mapped));
        if ((noted != mapped || noted >= OF_MEMORY) && wrong++ < 10)
          fprintf(stderr, "page %lu is %lx, and %lx is mapped\n", page, noted, mapped);
      }
    }
    if (result == 0) unpin(vector);
    atomic_store(&moving.hold, false);
  }
  atomic_store(&moving.done, true);
  pthread_join(mover, NULL);
  close(vector);
  printf(
      "{\"fresh\":%lu,\"stale\":%lu,\"refused\":%lu,\"of_memory\":%lu,\"wrong\":%lu,"
      "\"charged\":%ld}\n",
      fresh, stale, refused, of_memory, wrong, status_kb("VmPin"));
}

/* current ROUNDS: device memory, from another page of it on each time. */
static void current(int argc, char** argv) {
  look_at_moving(argc > 0 ? atoi(argv[0]) : 2000, false);
}

/* into-memory ROUNDS: device memory that becomes memory of the process, and the reverse. */
static void into_memory(int argc, char** argv) {
  look_at_moving(argc > 0 ? atoi(argv[0]) : 2000, true);
}

/* --- write ROUNDS: a long write, and the mapping goes in the middle of it -----------------------
 */

#define WRITTEN_PAGES 1024UL

static struct {
  int vector;
  char* from;
  ssize_t result;
  atomic_bool began;
} writer;

static void* write_all(void* unused) {
  (void)unused;
  atomic_store(&writer.began, true);
  writer.result = pwrite(writer.vector, writer.from, WRITTEN_PAGES * PAGE, 0);
  if (writer.result < 0) writer.result = -errno;
  return NULL;
}

static void write_while_unmapped(int argc, char** argv) {
  const int rounds = argc > 0 ? atoi(argv[0]) : 20;
  const size_t length = WRITTEN_PAGES * PAGE;
  int in_the_middle = 0, late = 0;
  char *view = map(length, device, 0), *after = map(length, -1, MAP_POPULATE);
  writer.from = map(length, -1, MAP_POPULATE);
  writer.vector = create(device, WRITTEN_PAGES);
  for (int i = 0; i < 20 * rounds && in_the_middle < rounds; i++) {
    struct framevec_pin told;
    char* at = map(length, device, MAP_POPULATE);
    memset(writer.from, i | 1, length);
    memset(view, 0, length);
    if (pin(writer.vector, at, WRITTEN_PAGES, FRAMEVEC_PIN_WRITE, &told) != 0) die("PIN");
    atomic_store(&writer.began, false);
    const pthread_t thread = start(write_all, NULL);
    while (!atomic_load(&writer.began)) continue;
    nap(rand() % 3000);
    munmap(at, length);
    /* From now on nothing may change any more. */
    memcpy(after, view, length);
    pthread_join(thread, NULL);
    if (memcmp(after, view, length) != 0) late++;
    if ((writer.result > 0 && writer.result < (ssize_t)length) || memcmp(after, view, length) != 0)
      in_the_middle++;
    unpin(writer.vector);
  }
  close(writer.vector);
  memset(view, 0, length);
  printf("{\"in_the_middle\":%d,\"late\":%d}\n", in_the_middle, late);
}

/* --- calls that wait for a page, which userfaultfd serves when it is time -----------------------
 */

static int watch(char* at, uint64_t pages) {
  struct uffdio_api api = {.api = UFFD_API};
  struct uffdio_register arg = {.range = {address(at), pages * PAGE},
                                .mode = UFFDIO_REGISTER_MODE_MISSING};
  const int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
  if (fd < 0 || ioctl(fd, UFFDIO_API, &api) != 0 || ioctl(fd, UFFDIO_REGISTER, &arg) != 0)
    die("userfaultfd");
  return fd;
}

static void await_fault(int uffd) {
  struct uffd_msg message;
  struct pollfd file = {uffd, POLLIN, 0};
  if (poll(&file, 1, 60000) != 1 || read(uffd, &message, sizeof(message)) != sizeof(message))
    die("nobody waits for the page");
}

static void serve(int uffd, const char* at, uint64_t pages) {
  struct uffdio_zeropage arg = {.range = {address(at), pages * PAGE}};
  if (ioctl(uffd, UFFDIO_ZEROPAGE, &arg) != 0) die("UFFDIO_ZEROPAGE");
}

struct waiting {
  int vector, result;
  unsigned long number;
  void* arg;
};

static void* issue(void* arg) {
  struct waiting* waiting = arg;
  waiting->result = call(waiting->vector, waiting->number, waiting->arg);
  return NULL;
}

/* copies pfns|extents: the mapping goes while numbers are being told. */
static void copies(int argc, char** argv) {
  const bool extents = argc > 0 && strcmp(argv[0], "extents") == 0;
  char *at = map(MOVING_PAGES * PAGE, device, MAP_POPULATE), *to = map(PAGE, -1, 0);
  struct framevec_read_pfns read_pfns = {
      .size = sizeof(read_pfns), .count = MOVING_PAGES, .pfns = address(to)};
  struct framevec_extents tell_extents = {
      .size = sizeof(tell_extents), .capacity = MOVING_PAGES, .counts = address(to)};
  struct waiting waiting = {
      .vector = create(device, MOVING_PAGES),
      .number = extents ? FRAMEVEC_IOC_EXTENTS : FRAMEVEC_IOC_READ_PFNS,
      .arg = extents ? (void*)&tell_extents : (void*)&read_pfns,
  };
  struct framevec_pin told;
  if (madvise(to, PAGE, MADV_NOHUGEPAGE) != 0 && errno != EINVAL) die("MADV_NOHUGEPAGE");
  const int uffd = watch(to, 1);
  if (pin(waiting.vector, at, MOVING_PAGES, 0, &told) != 0) die("PIN");
  const pthread_t thread = start(issue, &waiting);
  await_fault(uffd);
  munmap(at, MOVING_PAGES * PAGE);
  serve(uffd, to, 1);
  pthread_join(thread, NULL);
  close(waiting.vector);
  printf("{\"result\":%d}\n", waiting.result);
}

static struct {
  int vector;
  char text[1024];
  atomic_bool done;
} reader;

static void* read_fdinfo(void* unused) {
  char path[64];
  (void)unused;
  snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", reader.vector);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || read(fd, reader.text, sizeof(reader.text) - 1) <= 0) die("%s", path);
  close(fd);
  atomic_store(&reader.done, true);
  return NULL;
}

/* fdinfo: read while a pin waits for a page. */
static void fdinfo(int argc, char** argv) {
  char* at = map(MOVING_PAGES * PAGE, -1, 0);
  struct framevec_pin arg = {
      .size = sizeof(arg), .addr = address(at), .length = MOVING_PAGES * PAGE};
  struct waiting waiting = {
      .vector = create(device, MOVING_PAGES), .number = FRAMEVEC_IOC_PIN, .arg = &arg};
  (void)argc, (void)argv;
  if (madvise(at, MOVING_PAGES * PAGE, MADV_NOHUGEPAGE) != 0 && errno != EINVAL)
    die("MADV_NOHUGEPAGE");
  const int uffd = watch(at, MOVING_PAGES);
  const pthread_t pinner = start(issue, &waiting);
  await_fault(uffd);
  reader.vector = waiting.vector;
  const pthread_t thread = start(read_fdinfo, NULL);
  for (int i = 0; i < 2000 && !atomic_load(&reader.done); i++) nap(10000);
  const bool at_once = atomic_load(&reader.done);
  serve(uffd, at, MOVING_PAGES);
  pthread_join(thread, NULL);
  pthread_join(pinner, NULL);
  close(waiting.vector);
  printf("{\"at_once\":%d,\"busy\":%d,\"result\":%d}\n", at_once,
         strstr(reader.text, "framevec-busy:\t1") != NULL, waiting.result);
}

/* --- woken: poll() waits, and the mapping goes --------------------------------------------------
 */

#define POLL_MS 60000

static struct {
  struct pollfd file;
  double ms;
  atomic_bool began;
} poller;

static void* wait_for_change(void* unused) {
  const double began = now_ms();
  (void)unused;
  atomic_store(&poller.began, true);
  if (poll(&poller.file, 1, POLL_MS) < 0) die("poll");
  poller.ms = now_ms() - began;
  return NULL;
}

static void woken(int argc, char** argv) {
  char* at = map(MOVING_PAGES * PAGE, device, MAP_POPULATE);
  struct framevec_pin told;
  (void)argc, (void)argv;
  poller.file = (struct pollfd){create(device, MOVING_PAGES), POLLPRI, 0};
  if (pin(poller.file.fd, at, MOVING_PAGES, 0, &told) != 0) die("PIN");
  const pthread_t thread = start(wait_for_change, NULL);
  while (!atomic_load(&poller.began)) continue;
  nap(500000);
  munmap(at, MOVING_PAGES * PAGE);
  pthread_join(thread, NULL);
  printf("{\"changed\":%d,\"woken\":%d}\n", (poller.file.revents & POLLPRI) != 0,
         poller.ms < POLL_MS / 2);
}

static const struct subcommand all[] = {
    {"current", current}, {"into-memory", into_memory}, {"write", write_while_unmapped},
    {"copies", copies},   {"fdinfo", fdinfo},           {"woken", woken},
};

int main(int argc, char** argv) {
  device = open(FRAMEVEC_DEVICE, O_RDWR | O_CLOEXEC);
  if (device < 0) die(FRAMEVEC_DEVICE);
  run_subcommand(all, COUNT(all), argc, argv);
  return 0;
}
