// SPDX-License-Identifier: MIT
#include "v4l2.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "exchange.h"

namespace framevec {
namespace {

template <size_t N>
std::string TextOf(const __u8 (&field)[N]) {
  const char* text = reinterpret_cast<const char*>(field);
  return std::string(text, strnlen(text, N));
}

// More than any driver makes: since 6.9 one may have more than VIDEO_MAX_FRAME.
constexpr uint32_t kMostBuffers = 1024;

// A buffer of one plane has it in itself, the others have an array of them.
struct Buffer {
  explicit Buffer(uint32_t type) : many(V4L2_TYPE_IS_MULTIPLANAR(type)) {
    header.type = type;
    header.memory = V4L2_MEMORY_USERPTR;
    if (!many) return;
    header.m.planes = planes;
    header.length = VIDEO_MAX_PLANES;
  }

  bool many;
  v4l2_buffer header{};
  v4l2_plane planes[VIDEO_MAX_PLANES]{};
};

}  // namespace

uint32_t V4l2Table::Word(V4l2Field field, uint32_t plane) const {
  const double value = fields_[field + plane * kV4l2PlaneFields];
  return value >= 0 && value <= 4294967295.0 ? static_cast<uint32_t>(value) : UINT32_MAX;
}

int V4l2Table::Failed(const V4l2Device& device, int error) {
  return device.fd.Ours() ? -error : int{kREFUSED_LOST};
}

int V4l2Table::Open(const std::string& path) {
  V4l2Device device;
  // Not later: REQBUFS, once it has succeeded, must not fail for want of memory.
  device.held.resize(VIDEO_MAX_FRAME);
  const int error = device.fd.Open(path.c_str(), O_RDWR | O_NONBLOCK);
  if (error != 0) return error;
  const int32_t handle = devices_.Insert(std::move(device));
  return handle < 0 ? -ENFILE : handle;
}

int V4l2Table::Close(int32_t handle) {
  V4l2Device* device = devices_.Find(handle);
  if (device == nullptr) return kREFUSED_CLOSED;
  // In this order: the device must have let go of the memory before the memory may go.
  device->poll.reset();
  const bool ours = device->fd.Ours();
  device->fd.Reset();
  devices_.Remove(handle);
  return ours ? 0 : int{kREFUSED_LOST};
}

int V4l2Table::QueryCapabilities(int32_t handle) {
  V4l2Device* device = devices_.Find(handle);
  if (device == nullptr) return kREFUSED_CLOSED;
  v4l2_capability capability{};
  if (ioctl(device->fd.get(), VIDIOC_QUERYCAP, &capability) < 0) return Failed(*device, errno);
  const bool own = (capability.capabilities & V4L2_CAP_DEVICE_CAPS) != 0;
  Set(kV4L2_CAPABILITIES, own ? capability.device_caps : capability.capabilities);
  Set(kV4L2_VERSION, capability.version);
  texts_[kTextDriver] = TextOf(capability.driver);
  texts_[kTextCard] = TextOf(capability.card);
  texts_[kTextBus] = TextOf(capability.bus_info);
  return 0;
}

int V4l2Table::EnumFormat(int32_t handle, uint32_t type, uint32_t index) {
  V4l2Device* device = devices_.Find(handle);
  if (device == nullptr) return kREFUSED_CLOSED;
  v4l2_fmtdesc format{};
  format.type = type;
  format.index = index;
  if (ioctl(device->fd.get(), VIDIOC_ENUM_FMT, &format) < 0) return Failed(*device, errno);
  Set(kV4L2_FOURCC, format.pixelformat);
  Set(kV4L2_FLAGS, format.flags);
  texts_[kTextDescription] = TextOf(format.description);
  return 0;
}

int V4l2Table::Format(int32_t handle, unsigned long request, v4l2_format* format) {
  V4l2Device* device = devices_.Find(handle);
  if (device == nullptr) return kREFUSED_CLOSED;
  if (ioctl(device->fd.get(), request, format) < 0) return Failed(*device, errno);
  if (V4L2_TYPE_IS_MULTIPLANAR(format->type)) {
    const v4l2_pix_format_mplane& pix = format->fmt.pix_mp;
    const uint32_t planes = std::min<uint32_t>(pix.num_planes, VIDEO_MAX_PLANES);
    Set(kV4L2_WIDTH, pix.width);
    Set(kV4L2_HEIGHT, pix.height);
    Set(kV4L2_FOURCC, pix.pixelformat);
    Set(kV4L2_FIELD_ORDER, pix.field);
    Set(kV4L2_COLORSPACE, pix.colorspace);
    Set(kV4L2_PLANES, planes);
    for (uint32_t plane = 0; plane < planes; ++plane) {
      Set(kV4L2_PLANE_BYTES, plane, pix.plane_fmt[plane].sizeimage);
      Set(kV4L2_PLANE_STRIDE, plane, pix.plane_fmt[plane].bytesperline);
    }
    return 0;
  }
  const v4l2_pix_format& pix = format->fmt.pix;
  Set(kV4L2_WIDTH, pix.width);
  Set(kV4L2_HEIGHT, pix.height);
  Set(kV4L2_FOURCC, pix.pixelformat);
  Set(kV4L2_FIELD_ORDER, pix.field);
  Set(kV4L2_COLORSPACE, pix.colorspace);
  Set(kV4L2_PLANES, 1);
  Set(kV4L2_PLANE_BYTES, pix.sizeimage);
  Set(kV4L2_PLANE_STRIDE, pix.bytesperline);
  return 0;
}

int V4l2Table::GetFormat(int32_t handle, uint32_t type) {
  v4l2_format format{};
  format.type = type;
  return Format(handle, VIDIOC_G_FMT, &format);
}

int V4l2Table::SetFormat(int32_t handle, uint32_t type) {
  v4l2_format format{};
  format.type = type;
  if (V4L2_TYPE_IS_MULTIPLANAR(type)) {
    v4l2_pix_format_mplane& pix = format.fmt.pix_mp;
    pix.width = Word(kV4L2_WIDTH);
    pix.height = Word(kV4L2_HEIGHT);
    pix.pixelformat = Word(kV4L2_FOURCC);
    pix.field = Word(kV4L2_FIELD_ORDER);
    pix.num_planes = static_cast<__u8>(std::min<uint32_t>(Word(kV4L2_PLANES), VIDEO_MAX_PLANES));
  } else {
    v4l2_pix_format& pix = format.fmt.pix;
    pix.width = Word(kV4L2_WIDTH);
    pix.height = Word(kV4L2_HEIGHT);
    pix.pixelformat = Word(kV4L2_FOURCC);
    pix.field = Word(kV4L2_FIELD_ORDER);
  }
  return Format(handle, VIDIOC_S_FMT, &format);
}

int V4l2Table::SetInterval(int32_t handle, uint32_t type) {
  V4l2Device* device = devices_.Find(handle);
  if (device == nullptr) return kREFUSED_CLOSED;
  v4l2_streamparm parameters{};
  parameters.type = type;
  v4l2_fract* interval = V4L2_TYPE_IS_OUTPUT(type) ? &parameters.parm.output.timeperframe
                                                   : &parameters.parm.capture.timeperframe;
  interval->numerator = Word(kV4L2_NUMERATOR);
  interval->denominator = Word(kV4L2_DENOMINATOR);
  if (ioctl(device->fd.get(), VIDIOC_S_PARM, &parameters) < 0) return Failed(*device, errno);
  Set(kV4L2_NUMERATOR, interval->numerator);
  Set(kV4L2_DENOMINATOR, interval->denominator);
  return 0;
}

int V4l2Table::RequestBuffers(int32_t handle, uint32_t type, uint32_t count) {
  V4l2Device* device = devices_.Find(handle);
  if (device == nullptr) return kREFUSED_CLOSED;
  v4l2_requestbuffers request{};
  request.type = type;
  request.memory = V4L2_MEMORY_USERPTR;
  request.count = count;
  if (ioctl(device->fd.get(), VIDIOC_REQBUFS, &request) < 0) return Failed(*device, errno);
  for (auto& planes : device->held) {
    for (RegionPin& plane : planes) plane.Release();
  }
  return static_cast<int>(request.count);
}

int V4l2Table::Queue(int32_t handle, uint32_t type, uint32_t index, uint32_t flags,
                     const View* views, uint32_t planes) {
  V4l2Device* device = devices_.Find(handle);
  if (device == nullptr) return kREFUSED_CLOSED;
  Set(kV4L2_TAKEN, 0);
  std::array<Region*, VIDEO_MAX_PLANES> regions{};
  Buffer buffer(type);
  buffer.header.index = index;
  if (buffer.many) buffer.header.length = planes;
  if (planes == 0 || planes > (buffer.many ? VIDEO_MAX_PLANES : 1)) return kREFUSED_BAD_ARGUMENT;
  for (uint32_t plane = 0; plane < planes; ++plane) {
    const View& view = views[plane];
    if (view.length == 0) return kREFUSED_EMPTY;
    if (view.length > UINT32_MAX) return kREFUSED_BAD_ARGUMENT;
    Set(kV4L2_PLANE_ADDRESS, plane, static_cast<double>(view.address));
    Set(kV4L2_PLANE_BYTES, plane, static_cast<double>(view.length));
    bool ends_region = false;
    const double region_handle = fields_[kV4L2_PLANE_REGION + plane * kV4l2PlaneFields];
    if (region_handle >= 0) {
      Region* region = regions_->Find(static_cast<int32_t>(Word(kV4L2_PLANE_REGION, plane)));
      if (region == nullptr || region->closed()) return kREFUSED_CLOSED;
      if (!region->Contains(view.address, view.length)) return kREFUSED_FOREIGN;
      ends_region = view.address + view.length == region->address() + region->length();
      regions[plane] = region;
    }
    const size_t in_page = page_size_ - 1;
    if ((flags & kQueueUnaligned) == 0 &&
        ((view.address & in_page) != 0 ||
         (((view.address + view.length) & in_page) != 0 && !ends_region))) {
      return kREFUSED_UNALIGNED;
    }
    const uint32_t used = Word(kV4L2_PLANE_BYTES_USED, plane);
    if (buffer.many) {
      buffer.planes[plane].m.userptr = view.address;
      buffer.planes[plane].length = static_cast<__u32>(view.length);
      buffer.planes[plane].bytesused = used;
    } else {
      buffer.header.m.userptr = view.address;
      buffer.header.length = static_cast<__u32>(view.length);
      buffer.header.bytesused = used;
    }
  }
  if (device->held.size() <= index && index < kMostBuffers) device->held.resize(kMostBuffers);
  auto hold = [&](uint32_t plane) {
    if (index >= device->held.size()) return;
    Region* region = (flags & kQueueLoose) != 0 ? nullptr : regions[plane];
    device->held[index][plane].Hold(region);
  };
  if (ioctl(device->fd.get(), VIDIOC_QBUF, &buffer.header) < 0) {
    const int error = errno;
    // It may have pinned the memory before it failed, in starting the device for example.
    Buffer now(type);
    now.header.index = index;
    const bool told = ioctl(device->fd.get(), VIDIOC_QUERYBUF, &now.header) == 0;
    for (uint32_t plane = 0; told && plane < planes; ++plane) {
      const auto address = now.many ? now.planes[plane].m.userptr : now.header.m.userptr;
      if (address != views[plane].address) continue;
      Set(kV4L2_TAKEN, 1);
      hold(plane);
    }
    return Failed(*device, error);
  }
  for (uint32_t plane = 0; plane < planes; ++plane) hold(plane);
  return 0;
}

int V4l2Table::Dequeue(int32_t handle, uint32_t type) {
  V4l2Device* device = devices_.Find(handle);
  if (device == nullptr) return kREFUSED_CLOSED;
  Buffer buffer(type);
  if (ioctl(device->fd.get(), VIDIOC_DQBUF, &buffer.header) < 0) return Failed(*device, errno);
  const v4l2_buffer& header = buffer.header;
  const uint32_t planes = buffer.many ? std::min<uint32_t>(header.length, VIDEO_MAX_PLANES) : 1;
  Set(kV4L2_FLAGS, header.flags);
  Set(kV4L2_FIELD_ORDER, header.field);
  Set(kV4L2_SEQUENCE, header.sequence);
  Set(kV4L2_TIMESTAMP_US, static_cast<double>(header.timestamp.tv_sec) * 1e6 +
                              static_cast<double>(header.timestamp.tv_usec));
  Set(kV4L2_PLANES, planes);
  for (uint32_t plane = 0; plane < planes; ++plane) {
    const v4l2_plane& of = buffer.planes[plane];
    const auto address = buffer.many ? of.m.userptr : header.m.userptr;
    Set(kV4L2_PLANE_ADDRESS, plane, static_cast<double>(address));
    Set(kV4L2_PLANE_BYTES, plane, buffer.many ? of.length : header.length);
    Set(kV4L2_PLANE_BYTES_USED, plane, buffer.many ? of.bytesused : header.bytesused);
  }
  return static_cast<int>(header.index);
}

int V4l2Table::Stream(int32_t handle, uint32_t type, bool on) {
  V4l2Device* device = devices_.Find(handle);
  if (device == nullptr) return kREFUSED_CLOSED;
  int of = static_cast<int>(type);
  if (ioctl(device->fd.get(), on ? VIDIOC_STREAMON : VIDIOC_STREAMOFF, &of) < 0)
    return Failed(*device, errno);
  return 0;
}

int V4l2Table::Wait(napi_env env, int32_t handle, bool output, Napi::Function ready) {
  V4l2Device* device = devices_.Find(handle);
  if (device == nullptr) return kREFUSED_CLOSED;
  if (device->poll == nullptr) {
    int error = 0;
    device->poll = Poll::Make(env, device->fd.get(), Poll::Loop::kKeepAlive, &error);
    if (device->poll == nullptr) return error;
  }
  return device->poll->Wait(output ? UV_WRITABLE : UV_READABLE, ready);
}

}  // namespace framevec
