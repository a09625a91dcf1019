// libzmq is not compiled with ThreadSanitizer, which therefore does not see how its threads hand
// messages to each other. Calls out of it are left out of the judgement; our own are not.
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() {
  return "called_from_lib:libzmq.so\n";
}
