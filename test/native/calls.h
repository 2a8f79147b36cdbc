/* The calls on a vector that races and past_bugs make, with the answer of the kernel as it is. */
#ifndef FRAMEVEC_TEST_CALLS_H
#define FRAMEVEC_TEST_CALLS_H

#include <time.h>

#include "common.h"

static inline void nap(long microseconds) {
  const struct timespec time = {microseconds / 1000000, microseconds % 1000000 * 1000};
  nanosleep(&time, NULL);
}

static inline int pin(int vector, const void* at, uint64_t length, uint32_t flags,
                      struct framevec_pin* told) {
  *told = (struct framevec_pin){
      .size = sizeof(*told), .flags = flags, .addr = address(at), .length = length};
  return call(vector, FRAMEVEC_IOC_PIN, told);
}

static inline int unpin(int vector) {
  struct framevec_unpin arg = {.size = sizeof(arg)};
  return call(vector, FRAMEVEC_IOC_UNPIN, &arg);
}

#endif
