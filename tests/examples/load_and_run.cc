// tests/examples/load_and_run.cc: a trained QKeras network from its file, on two drawn digits.
// [readme]
#include <algorithm>
#include <cstdio>
#include <vector>

#include "bindings/cpp/load.h"

int main() try {
  // Reads, understands and compiles; the second time it is found in the cache.
  const auto loaded = qloom::load_model("tests/data/models/digits_cnn_w4a4.h5");
  qloom::runtime::Executor executor(loaded.model, {.threads = 2});

  // A batch of two 8×8 images, ink from 0 to 1, as in training.
  const char* drawings[] = {
      "  .##.  "
      "  #..#  "
      " .#  #. "
      " #.  .# "
      " #.  .# "
      " .#  #. "
      "  #..#  "
      "  .##.  ",
      " ###### "
      " .....# "
      "     #. "
      "    .#  "
      "  #####."
      "   #.   "
      "  .#    "
      "  #.    "};
  std::vector<float> images;
  for (const char* drawing : drawings)
    for (int i = 0; i < 64; ++i)
      images.push_back(drawing[i] == '#' ? 0.9F : drawing[i] == '.' ? 0.4F : 0.0F);

  std::vector<float> scores(2 * 10);  // outputs of the caller: running allocates nothing
  const std::span<const float> inputs[] = {images};
  const std::span<float> outputs[] = {scores};
  if (const qloom::Status status = executor.run(inputs, outputs, 2); !status.ok()) {
    std::fprintf(stderr, "%s\n", status.message());
    return 1;
  }
  for (auto row = scores.begin(); row != scores.end(); row += 10)
    std::printf("this is a %d\n", static_cast<int>(std::max_element(row, row + 10) - row));
} catch (const std::exception& error) {  // names file, layer, key, expected and found
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
// [/readme]
