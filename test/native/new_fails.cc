// Makes memory run out for the addon alone: preloaded (LD_PRELOAD), it takes the place of operator
// new, and fails one that framevec.node asks for. Loaded as an addon as well, it says which. Not
// part of the package.

#include <dlfcn.h>
#include <node_api.h>

#include <cstdlib>
#include <cstring>
#include <new>

namespace {

// How many may still succeed; below zero none fails.
long left = -1;

bool FromTheAddon(void* caller) {
  Dl_info info;
  if (dladdr(caller, &info) == 0 || info.dli_fname == nullptr) return false;
  const char* name = strrchr(info.dli_fname, '/');
  return strcmp(name == nullptr ? info.dli_fname : name + 1, "framevec.node") == 0;
}

bool Fails(void* caller) { return left >= 0 && FromTheAddon(caller) && left-- == 0; }

void* Allocate(size_t size, void* caller) {
  void* memory = Fails(caller) ? nullptr : malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

// arm(n): the allocation after n others fails; arm(-1): none. What was left before.
napi_value Arm(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument = nullptr, result = nullptr;
  int64_t next = -1;
  napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr);
  napi_get_value_int64(env, argument, &next);
  napi_create_int64(env, left, &result);
  left = static_cast<long>(next);
  return result;
}

}  // namespace

void* operator new(size_t size) { return Allocate(size, __builtin_return_address(0)); }
void* operator new[](size_t size) { return Allocate(size, __builtin_return_address(0)); }
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return Fails(__builtin_return_address(0)) ? nullptr : malloc(size == 0 ? 1 : size);
}
void* operator new[](size_t size, const std::nothrow_t&) noexcept {
  return Fails(__builtin_return_address(0)) ? nullptr : malloc(size == 0 ? 1 : size);
}
void operator delete(void* memory) noexcept { free(memory); }
void operator delete[](void* memory) noexcept { free(memory); }
void operator delete(void* memory, size_t) noexcept { free(memory); }
void operator delete[](void* memory, size_t) noexcept { free(memory); }

NAPI_MODULE_INIT() {
  napi_value arm = nullptr;
  napi_create_function(env, "arm", NAPI_AUTO_LENGTH, Arm, nullptr, &arm);
  napi_set_named_property(env, exports, "arm", arm);
  return exports;
}
