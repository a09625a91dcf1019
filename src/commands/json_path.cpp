#include "commands/json_path.hpp"

namespace lmcache::commands {

Json at(const Json& from, std::initializer_list<const char*> path) {
  const Json* value = &from;
  for (const char* key : path) {
    if (!value->is_object() || !value->contains(key)) return nullptr;
    value = &(*value)[key];
  }
  return *value;
}

double number(const Json& value) {
  return value.is_number() ? value.get<double>() : 0;
}

}  // namespace lmcache::commands
