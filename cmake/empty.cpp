// What the precompiled headers' owners compile.
int main() {
  return 0;
}
