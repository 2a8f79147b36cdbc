/*
 * compat: a walk through the whole ABI, built for 64 bits and for 32: what it prints has to be the
 * same. Addresses and times are not printed, but what they have to be is.
 */
#include <poll.h>
#include <stddef.h>

#include "common.h"

#define FRAMES 16

static int device;
static char* memory;
/* More than an int apart in file position, and beyond 4 GiB in what a pointer field can say. */
#define HIGH (1ULL << 40)

static void say(const char* what, int result) {
  printf("%s: %s\n", what, result < 0 ? strerrorname_np(-result) : "0");
}

static void check(const char* what, int holds) { printf("%s: %s\n", what, holds ? "yes" : "NO"); }

static void stat_of(int vector) {
  struct framevec_stat stat = {.size = sizeof(stat)};
  say("STAT", call(vector, FRAMEVEC_IOC_STAT, &stat));
  printf("  kind %u state %u capacity %u frames %u offset %u length %llu\n", stat.kind, stat.state,
         stat.capacity, stat.frames, stat.offset, (unsigned long long)stat.length);
}

static void pin(const char* what, int vector, uint64_t addr, uint64_t length, uint32_t flags) {
  struct framevec_pin arg = {.size = sizeof(arg), .flags = flags, .addr = addr, .length = length};
  say(what, call(vector, FRAMEVEC_IOC_PIN, &arg));
  printf("  kind %u offset %u frames %u reason %u", arg.kind, arg.offset, arg.frames, arg.reason);
  printf(" fail at %lld", arg.fail_addr == 0 ? -1LL : (long long)(arg.fail_addr - addr));
  printf(" timed %s\n", arg.gup_ns > 0 && arg.gup_ns <= arg.call_ns ? "yes" : "no");
}

static void unpin(int vector, uint32_t flags) {
  struct framevec_unpin arg = {.size = sizeof(arg), .flags = flags};
  say("UNPIN", call(vector, FRAMEVEC_IOC_UNPIN, &arg));
  printf("  frames %u timed %s\n", arg.frames, arg.call_ns > 0 ? "yes" : "no");
}

/* PFNs against pagemap's, which tells none of device memory: that is one run. */
static void numbers(int vector, const char* at, unsigned frames) {
  uint64_t pfns[FRAMES], entries[FRAMES];
  struct framevec_read_pfns arg = {.size = sizeof(arg), .count = frames, .pfns = address(pfns)};
  say("READ_PFNS", call(vector, FRAMEVEC_IOC_READ_PFNS, &arg));
  const int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  const ssize_t length = (ssize_t)(frames * sizeof(entries[0]));
  if (pread(pagemap, entries, (size_t)length, (off_t)(address(at) / PAGE * 8)) != length) {
    die("pagemap");
  }
  close(pagemap);
  unsigned same = 0, run = 0;
  for (unsigned i = 0; i < frames; i++) {
    same += pfns[i] == (entries[i] & ((1ULL << 55) - 1));
    run += pfns[i] == pfns[0] + i && pfns[i] > 0;
  }
  const int device_memory = run == frames && same == 0;
  printf("  %u of %u are %s\n", device_memory ? run : same, frames,
         device_memory ? "a run" : "pagemap's");
}

static void extents(int vector, unsigned frames) {
  uint64_t pfns[FRAMES];
  uint32_t counts[FRAMES];
  struct framevec_extents arg = {
      .size = sizeof(arg), .capacity = FRAMES, .pfns = address(pfns), .counts = address(counts)};
  unsigned sum = 0;
  say("EXTENTS", call(vector, FRAMEVEC_IOC_EXTENTS, &arg));
  for (unsigned i = 0; i < arg.extents && i < FRAMES; i++) sum += counts[i];
  printf("  %u frames, next %llu\n", sum, (unsigned long long)arg.next);
  check("  as many as held", sum == frames);
}

static void convert(const char* what, int vector, unsigned long number) {
  struct framevec_convert arg = {.size = sizeof(arg)};
  say(what, call(vector, number, &arg));
  printf("  reason %u frame %llu\n", arg.reason, (unsigned long long)arg.frame);
}

static void transfers(int vector, char* at) {
  char text[64] = "";
  struct pollfd entry = {.fd = vector, .events = POLLPRI};
  memcpy(at + 100, "from the process", 16);
  printf("pread: %d %s\n", (int)pread(vector, text, 16, 0), text);
  printf("pwrite: %d\n", (int)pwrite(vector, "from the device ", 16, PAGE));
  check("  it is in memory", memcmp(at + 100 + PAGE, "from the device ", 16) == 0);
  printf("pread beyond the end: %d\n", (int)pread(vector, text, 16, (off_t)HIGH));
  const int written = (int)pwrite(vector, text, 16, (off_t)HIGH);
  printf("pwrite beyond the end: %d %s\n", written, strerrorname_np(errno));
  printf("lseek: %d\n", (int)lseek(vector, 0, SEEK_SET));
  printf("read: %d\n", (int)read(vector, text, 8));
  printf("poll: %d\n", poll(&entry, 1, 0));
}

static void ordinary_memory(void) {
  const int vector = create(device, FRAMES);
  check("CREATE gives a descriptor", vector > device);
  stat_of(vector);
  unpin(vector, 0);
  pin("PIN", vector, address(memory) + 100, 8 * PAGE, FRAMEVEC_PIN_WRITE | FRAMEVEC_PIN_TIMING);
  printf("VmPin %ld kB\n", status_kb("VmPin"));
  stat_of(vector);
  pin("PIN again", vector, address(memory), PAGE, 0);
  numbers(vector, memory, 9);
  extents(vector, 9);
  transfers(vector, memory);
  convert("TO_PFNS", vector, FRAMEVEC_IOC_TO_PFNS);
  stat_of(vector);
  numbers(vector, memory, 9);
  convert("TO_PAGES", vector, FRAMEVEC_IOC_TO_PAGES);
  stat_of(vector);
  unpin(vector, FRAMEVEC_UNPIN_TIMING);
  printf("VmPin %ld kB\n", status_kb("VmPin"));

  pin("PIN of a hole", vector, address(memory) + 12 * PAGE, 8 * PAGE, 0);
  pin("PIN up to a hole", vector, address(memory) + 12 * PAGE, 8 * PAGE, FRAMEVEC_PIN_PARTIAL);
  unpin(vector, 0);
  pin("PIN beyond 4 GiB", vector, address(memory) + HIGH, PAGE, 0);
  pin("PIN of more than 4 GiB", vector, address(memory), HIGH, 0);
  pin("PIN with force", vector, address(memory), PAGE, FRAMEVEC_PIN_FORCE);
  pin("PIN with an unknown flag", vector, address(memory), PAGE, 0x80000000);
  close(vector);
}

static void device_memory(void) {
  char* aperture = map(FRAMES * PAGE, device, 0);
  const int vector = create(device, FRAMES);
  struct pollfd entry = {.fd = vector, .events = POLLPRI};
  pin("PIN of the aperture", vector, address(aperture) + 100, 4 * PAGE, FRAMEVEC_PIN_WRITE);
  printf("VmPin %ld kB\n", status_kb("VmPin"));
  stat_of(vector);
  numbers(vector, aperture, 5);
  extents(vector, 5);
  transfers(vector, aperture);
  convert("TO_PAGES", vector, FRAMEVEC_IOC_TO_PAGES);
  stat_of(vector);
  munmap(aperture, FRAMES * PAGE);
  stat_of(vector);
  const int ready = poll(&entry, 1, 10000);
  printf("poll: %d, POLLPRI %s\n", ready, entry.revents & POLLPRI ? "yes" : "no");
  unpin(vector, 0);
  close(vector);
}

static void bad_calls(void) {
  struct {
    struct framevec_create create;
    uint64_t more;
  } arg = {.create = {.size = offsetof(struct framevec_create, memlock_scope) - 1, .capacity = 1}};
  say("a size too small", call(device, FRAMEVEC_IOC_CREATE, &arg));
  arg.create.size = sizeof(arg);
  arg.more = 1;
  say("a size too large", call(device, FRAMEVEC_IOC_CREATE, &arg));
  arg.more = 0;
  arg.create.capacity = HIGH;
  say("a capacity too large", call(device, FRAMEVEC_IOC_CREATE, &arg));
  say("an ioctl that does not exist", call(device, _IO(FRAMEVEC_IOC_TYPE, 0xff), &arg));
  say("the ioctl of a vector", call(device, FRAMEVEC_IOC_STAT, &arg));
  say("no struct", call(device, FRAMEVEC_IOC_INFO, NULL));
  say("a struct at the end of the address space", call(device, FRAMEVEC_IOC_INFO, (void*)-8L));
}

int main(void) {
  struct framevec_info info = {.size = sizeof(info)};
  fprintf(stderr, "%zu bits\n", 8 * sizeof(void*));
  device = open(FRAMEVEC_DEVICE, O_RDWR | O_CLOEXEC);
  if (device < 0) die(FRAMEVEC_DEVICE);
  say("INFO", call(device, FRAMEVEC_IOC_INFO, &info));
  printf("  abi %u page size %u max frames %llu features %llu aperture %llu\n", info.abi,
         info.page_size, (unsigned long long)info.max_frames, (unsigned long long)info.features,
         (unsigned long long)info.aperture_size);
  /* 16 pages, and nothing after them. */
  memory = map(32 * PAGE, -1, MAP_POPULATE);
  munmap(memory + 16 * PAGE, 16 * PAGE);
  ordinary_memory();
  device_memory();
  bad_calls();
  return 0;
}
