// SPDX-License-Identifier: MIT
//
// Video devices that take buffers of ours (V4L2_MEMORY_USERPTR). Numbers go as exchange.h tells,
// but through an array of their own, since a buffer may have eight planes. lib/v4l2/native.ts has
// the same list; a test compares them.
#ifndef FRAMEVEC_V4L2_H_
#define FRAMEVEC_V4L2_H_

#include <linux/videodev2.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "device_fd.h"
#include "handle_table.h"
#include "poll.h"
#include "region.h"
#include "view.h"

namespace framevec {

#define FRAMEVEC_V4L2_FIELDS(X)                                              \
  X(CAPABILITIES)                                                            \
  X(VERSION)                                                                 \
  X(FOURCC)                                                                  \
  X(FLAGS)                                                                   \
  X(WIDTH)                                                                   \
  X(HEIGHT)                                                                  \
  X(FIELD_ORDER)                                                             \
  X(COLORSPACE)                                                              \
  X(NUMERATOR)                                                               \
  X(DENOMINATOR)                                                             \
  X(SEQUENCE)                                                                \
  X(TIMESTAMP_US)                                                            \
  X(PLANES)                                                                  \
  X(TAKEN)       /* a buffer that was refused has its memory all the same */ \
  X(PLANE_BYTES) /* of a format: that it needs; of a buffer: has */          \
  X(PLANE_STRIDE)                                                            \
  X(PLANE_BYTES_USED)                                                        \
  X(PLANE_ADDRESS)                                                           \
  X(PLANE_REGION)

enum V4l2Field : unsigned {
#define X(name) kV4L2_##name,
  FRAMEVEC_V4L2_FIELDS(X)
#undef X
      kV4l2PlaneEnd
};
// The fields from PLANE_BYTES on are there for each plane: kV4l2PlaneFields apart.
constexpr unsigned kV4l2PlaneFields = kV4l2PlaneEnd - kV4L2_PLANE_BYTES;
constexpr unsigned kV4l2FieldCount = kV4L2_PLANE_BYTES + VIDEO_MAX_PLANES * kV4l2PlaneFields;

// Flags of Queue().
constexpr uint32_t kQueueUnaligned = 1;  // planes may share their pages with other memory
constexpr uint32_t kQueueLoose = 2;      // closed memory is unmapped although the driver has it

enum V4l2Text : uint32_t { kTextDriver, kTextCard, kTextBus, kTextDescription, kTextCount };

// A device, and the memory of each buffer. The driver keeps the pins of a buffer that is dequeued,
// and uses them again when memory of the same address and length is queued there: if that were
// other memory, the frames would go where nobody sees them. So the memory stays mapped, closed or
// not, until the driver has let go of it: at QBUF of other memory, REQBUFS or close().
struct V4l2Device {
  std::vector<std::array<RegionPin, VIDEO_MAX_PLANES>> held;
  // What polls a descriptor ends before it, and with the descriptor ends the device's hold of
  // memory.
  DeviceFd fd;
  Poll::Owner poll;
};

// The devices of an environment. Each call makes one syscall, and answers as exchange.h tells.
class V4l2Table {
 public:
  V4l2Table(size_t page_size, RegionTable* regions) : page_size_(page_size), regions_(regions) {}

  void Attach(double* fields) { fields_ = fields; }

  // The new device's handle.
  int Open(const std::string& path);
  int Close(int32_t handle);
  int QueryCapabilities(int32_t handle);
  int EnumFormat(int32_t handle, uint32_t type, uint32_t index);
  int GetFormat(int32_t handle, uint32_t type);
  // Asks for WIDTH, HEIGHT, FOURCC, FIELD_ORDER and PLANES; leaves what the driver made of them.
  int SetFormat(int32_t handle, uint32_t type);
  // Asks for a frame every NUMERATOR / DENOMINATOR seconds; leaves what the driver made of it.
  int SetInterval(int32_t handle, uint32_t type);
  // The number of buffers that the driver has made of `count`.
  int RequestBuffers(int32_t handle, uint32_t type, uint32_t count);
  // Gives the device buffer `index`, a view a plane, with PLANE_REGION and PLANE_BYTES_USED. If it
  // is refused, TAKEN tells whether the driver has pinned the memory all the same.
  int Queue(int32_t handle, uint32_t type, uint32_t index, uint32_t flags, const View* views,
            uint32_t planes);
  // The index of a buffer that the device has done with.
  int Dequeue(int32_t handle, uint32_t type);
  int Stream(int32_t handle, uint32_t type, bool on);
  int Wait(napi_env env, int32_t handle, bool output, Napi::Function ready);
  // What the last QueryCapabilities() or EnumFormat() said in words.
  const std::string& Text(V4l2Text which) const { return texts_[which]; }

 private:
  void Set(V4l2Field field, double value) { fields_[field] = value; }
  void Set(V4l2Field field, uint32_t plane, double value) {
    fields_[field + plane * kV4l2PlaneFields] = value;
  }
  uint32_t Word(V4l2Field field, uint32_t plane = 0) const;
  int Format(int32_t handle, unsigned long request, v4l2_format* format);
  static int Failed(const V4l2Device& device, int error);

  size_t page_size_;
  RegionTable* regions_;
  double* fields_ = nullptr;
  std::array<std::string, kTextCount> texts_;
  HandleTable<V4l2Device> devices_;
};

}  // namespace framevec

#endif  // FRAMEVEC_V4L2_H_
