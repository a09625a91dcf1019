#include "gpu/cuda.hpp"

namespace lmcache::gpu {
namespace {

constexpr unsigned kDriverVersion = 12000;  ///< of the signatures in DriverFunctions

template <class Function>
cudaError_t look_up(const char* name, Function& function) {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result{};
  const cudaError_t error =
      cudaGetDriverEntryPointByVersion(name, &found, kDriverVersion, cudaEnableDefault, &result);
  if (error != cudaSuccess) return error;
  if (result != cudaDriverEntryPointSuccess) return cudaErrorNotSupported;
  function = reinterpret_cast<Function>(found);
  return cudaSuccess;
}

Result<DriverFunctions> look_up_all() {
  DriverFunctions all;
  cudaError_t error = cudaSuccess;
  const auto add = [&](const char* name, auto& function) {
    if (error == cudaSuccess) error = look_up(name, function);
  };
  add("cuMemGetAddressRange", all.mem_get_address_range);
  add("cuStreamWaitValue64", all.stream_wait_value64);
  add("cuStreamWriteValue64", all.stream_write_value64);
  add("cuMemImportFromShareableHandle", all.mem_import);
  add("cuMemAddressReserve", all.mem_reserve);
  add("cuMemMap", all.mem_map);
  add("cuMemSetAccess", all.mem_set_access);
  add("cuMemUnmap", all.mem_unmap);
  add("cuMemAddressFree", all.mem_address_free);
  add("cuMemRelease", all.mem_release);
  if (error != cudaSuccess) return cuda_error(Cause::kBadSegment, "the CUDA driver", error);
  return all;
}

}  // namespace

Error cuda_error(Cause cause, const std::string& what, cudaError_t error) {
  return {cause, what + ": " + cudaGetErrorString(error) + " (" + cudaGetErrorName(error) + ")"};
}

Error cuda_error(Cause cause, const std::string& what, CUresult error) {
  return {cause, what + ": CUDA driver error " + std::to_string(static_cast<int>(error))};
}

std::string uuid_text(const cudaUUID_t& uuid) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    const auto byte = static_cast<unsigned char>(uuid.bytes[i]);
    text += kHex[byte >> 4];
    text += kHex[byte & 15];
  }
  return text;
}

cudaError_t context_error() noexcept {
  static_cast<void>(cudaGetLastError());
  const cudaError_t state = cudaStreamQuery(nullptr);
  static_cast<void>(cudaGetLastError());
  return state == cudaErrorNotReady ? cudaSuccess : state;
}

Status check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return {};
  static_cast<void>(cudaGetLastError());
  return cuda_error(Cause::kCopyFailed, what, error);
}

Result<const DriverFunctions*> driver() {
  static const Result<DriverFunctions> functions = look_up_all();
  if (!functions) return functions.error();
  return &*functions;
}

}  // namespace lmcache::gpu
