// Kernels that move memory and compute next to nothing; one version serves every instruction set.
#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "kernels/extents.h"
#include "kernels/panel.h"

namespace nacre {

namespace {

constexpr int64_t kMaxRank = 8;

// copy: an n-dimensional walk with a stride on either side; counted in items.
//   args = { item bytes, zero the output first, output items, input offset, output offset, rank,
//            rank x { size, input stride, output stride } }
struct Walk {
  int64_t item, zero, output_items, input_offset, output_offset, rank;
  struct Axis {
    int64_t size, input, output;
  };
  const Axis* axis;

  explicit Walk(const int64_t* args)
      : item(args[0]),
        zero(args[1]),
        output_items(args[2]),
        input_offset(args[3]),
        output_offset(args[4]),
        rank(args[5]) {
    axis = reinterpret_cast<const Axis*>(args + 6);
  }
};

template <typename Item>
void copy_axis(const Item* in, Item* out, const Walk::Axis* axis, int64_t rank) {
  if (rank == 0) {
    *out = *in;
  } else if (rank == 1) {
    if (axis->input == 1 && axis->output == 1) {
      std::memcpy(out, in, axis->size * sizeof(Item));
    } else {
      for (int64_t i = 0; i < axis->size; ++i) out[i * axis->output] = in[i * axis->input];
    }
  } else {
    for (int64_t i = 0; i < axis->size; ++i)
      copy_axis(in + i * axis->input, out + i * axis->output, axis + 1, rank - 1);
  }
}

// Shared out along the first axis.
template <typename Item>
void copy_items(const Call& call, const Walk& walk) {
  const Item* in = static_cast<const Item*>(call.operands[0]) + walk.input_offset;
  Item* out = static_cast<Item*>(call.operands[1]) + walk.output_offset;
  if (walk.rank == 0) {
    if (call.part == 0) *out = *in;
    return;
  }
  std::vector<Walk::Axis> axes(walk.axis, walk.axis + walk.rank);
  const int64_t first = call.begin(axes[0].size);
  axes[0].size = call.end(axes[0].size) - first;
  if (axes[0].size) copy_axis(in + first * axes[0].input, out + first * axes[0].output, axes.data(), walk.rank);
}

}  // namespace

namespace reference {

void copy(const Call& call) {
  const Walk walk(call.args);
  if (walk.zero) std::memset(call.operands[1], 0, walk.output_items * walk.item);
  for (int64_t a = 0; a < walk.rank; ++a)
    if (walk.axis[a].size == 0) return;
  if (walk.item == 1) return copy_items<uint8_t>(call, walk);
  copy_items<uint32_t>(call, walk);
}

// gather: args = { item bytes, rows, items of a row, in panels }; rows of a column of the data, one below the other or
// in panels, with zeros after the last column.
// Shared by rows, or by columns, so that each thread has those of its part of the weights.
void gather(const Call& call) {
  const int64_t item = call.args[0], rows = call.args[1], width = call.args[2] * item;
  const auto& from = *static_cast<const Rows*>(call.operands[0]);
  auto* to = static_cast<uint8_t*>(call.operands[1]);
  const bool by_columns = call.sharing == Sharing::free && call.args[3];
  const int64_t first = by_columns ? 0 : call.begin(rows), last = by_columns ? rows : call.end(rows);
  const int64_t panel = kPanel * item, all = panels(call.args[2]);
  const int64_t begin = by_columns ? call.begin(all) * panel : 0;
  const int64_t end = by_columns ? std::min(call.end(all) * panel, width) : width;
  if (!call.args[3]) {
    constexpr int64_t kSoon = 16;
    for (int64_t r = first; r < last; ++r) {
      __builtin_prefetch(from.data + from.order[std::min(r + kSoon, last - 1)] * width);
      const uint8_t* x = from.data + from.order[r] * width;
      width == 4 ? std::memcpy(to + r * 4, x, 4) : std::memcpy(to + r * width, x, width);
    }
    return;
  }
  // A panel of all rows after the other: row by row, each would be written all over the memory, a power of two apart.
  constexpr int64_t kSoon = 512;  // bytes further on
  for (int64_t c = begin; c < end; c += panel) {
    uint8_t* y = to + c * rows + first * panel;
    const int64_t inside = std::min(panel, end - c), soon = c + kSoon < end ? c + kSoon : c;
    for (int64_t r = first; r < last; ++r, y += panel) {
      const uint8_t* x = from.data + from.order[r] * width;
      for (int64_t line = 0; line < panel; line += 64) __builtin_prefetch(x + soon + line);
      if (inside < panel) {
        std::memcpy(y, x + c, inside);
        std::memset(y + inside, 0, panel - inside);
      } else {
        item == 4 ? std::memcpy(y, x + c, 4 * kPanel) : std::memcpy(y, x + c, kPanel);
      }
    }
  }
}

// pack: args = { item bytes, rows, columns }; a row-major matrix into panels, zeros after the last column.
// unpack: the way back.
template <typename Item>
static void pack_rows(const Call& call) {
  const int64_t rows = call.args[1], columns = call.args[2];
  const auto* x = static_cast<const Item*>(call.operands[0]);
  auto* y = static_cast<Item*>(call.operands[1]);
  for (int64_t r = call.begin(rows); r < call.end(rows); ++r)
    for (int64_t c = 0; c < columns; c += kPanel) {
      const int64_t width = std::min(kPanel, columns - c);
      Item* to = y + (c / kPanel * rows + r) * kPanel;
      std::memcpy(to, x + r * columns + c, width * sizeof(Item));
      if (width < kPanel) std::memset(to + width, 0, (kPanel - width) * sizeof(Item));
    }
}

template <typename Item>
static void unpack_rows(const Call& call) {
  const int64_t rows = call.args[1], columns = call.args[2];
  const auto* x = static_cast<const Item*>(call.operands[0]);
  auto* y = static_cast<Item*>(call.operands[1]);
  for (int64_t r = call.begin(rows); r < call.end(rows); ++r)
    for (int64_t c = 0; c < columns; c += kPanel)
      std::memcpy(y + r * columns + c, x + (c / kPanel * rows + r) * kPanel,
                  std::min(kPanel, columns - c) * sizeof(Item));
}

void pack(const Call& call) { call.args[0] == 1 ? pack_rows<uint8_t>(call) : pack_rows<uint32_t>(call); }
void unpack(const Call& call) { call.args[0] == 1 ? unpack_rows<uint8_t>(call) : unpack_rows<uint32_t>(call); }

// turn: args = { item bytes, rows, columns, axis of the batch }; a matrix in panels into its transpose in panels,
// filled up with zeros.
template <typename Item>
static void turn_items(const Call& call) {
  const int64_t rows = call.args[1], columns = call.args[2];
  const auto* x = static_cast<const Item*>(call.operands[0]);
  auto* y = static_cast<Item*>(call.operands[1]);
  for (int64_t c = 0; c < columns; ++c)
    for (int64_t r = 0; r < panels(rows) * kPanel; ++r)
      y[(r / kPanel * columns + c) * kPanel + r % kPanel] =
          r < rows ? x[(c / kPanel * rows + r) * kPanel + c % kPanel] : 0;
}

void turn(const Call& call) { call.args[0] == 1 ? turn_items<uint8_t>(call) : turn_items<uint32_t>(call); }

// take: args = { rows, width, count }; table (rows, width), int32 indices (count) -> y (count, width). An index out of
// range means the nearest row.
void take(const Call& call) {
  const int64_t rows = call.args[0], width = call.args[1], count = call.args[2];
  const auto* table = static_cast<const float*>(call.operands[0]);
  const auto* indices = static_cast<const int32_t*>(call.operands[1]);
  auto* y = static_cast<float*>(call.operands[2]);
  for (int64_t i = call.begin(count); i < call.end(count); ++i) {
    const int64_t row = std::clamp<int64_t>(indices[i], 0, rows - 1);
    std::memcpy(y + i * width, table + row * width, width * sizeof(float));
  }
}

// scatter_add: args = { rows, width, count }; int32 indices (count), updates (count, width) -> table (rows, width),
// added in order.
void scatter_add(const Call& call) {
  const int64_t rows = call.args[0], width = call.args[1], count = call.args[2];
  const auto* indices = static_cast<const int32_t*>(call.operands[0]);
  const auto* updates = static_cast<const float*>(call.operands[1]);
  auto* table = static_cast<float*>(call.operands[2]);
  std::fill_n(table, rows * width, 0.0f);
  for (int64_t i = 0; i < count; ++i) {
    float* row = table + std::clamp<int64_t>(indices[i], 0, rows - 1) * width;
    for (int64_t j = 0; j < width; ++j) row[j] += updates[i * width + j];
  }
}

}  // namespace reference

std::vector<size_t> extents::copy(const int64_t* args, size_t count) {
  require(count >= 6 && (args[0] == 1 || args[0] == 4) && args[5] >= 0 && args[5] <= kMaxRank, "copy: bad header");
  const Walk walk(args);
  require(count == static_cast<size_t>(6 + 3 * walk.rank), "copy: wrong number of integers");
  require(walk.input_offset >= 0 && walk.output_offset >= 0 && walk.output_items >= 0, "copy: negative offset");
  size_t in = walk.input_offset + 1, out = walk.output_offset + 1;
  for (int64_t a = 0; a < walk.rank; ++a) {
    const Walk::Axis& axis = walk.axis[a];
    require(axis.size >= 0 && axis.input >= 0 && axis.output >= 0, "copy: negative size or stride");
    if (axis.size == 0) return {0, product({walk.output_items, walk.item})};
    in += product({axis.size - 1, axis.input});
    out += product({axis.size - 1, axis.output});
  }
  out = std::max(out, static_cast<size_t>(walk.output_items));
  return {product({static_cast<int64_t>(in), walk.item}), product({static_cast<int64_t>(out), walk.item})};
}

std::vector<size_t> extents::gather(const int64_t* args, size_t count) {
  require(count == 4 && (args[0] == 1 || args[0] == 4) && args[1] >= 0 && args[2] >= 0, "gather: bad sizes");
  const int64_t columns = args[3] ? panels(args[2]) * kPanel : args[2];
  return {product({args[0], args[1], args[2]}), product({args[0], args[1], columns})};
}

std::vector<size_t> extents::pack(const int64_t* args, size_t count) {
  require(count == 3 && (args[0] == 1 || args[0] == 4) && args[1] >= 0 && args[2] >= 0, "pack: bad sizes");
  return {product({args[0], args[1], args[2]}), product({args[0], args[1], panels(args[2]), kPanel})};
}

std::vector<size_t> extents::unpack(const int64_t* args, size_t count) {
  const auto bytes = pack(args, count);
  return {bytes[1], bytes[0]};
}

std::vector<size_t> extents::turn(const int64_t* args, size_t count) {
  require(count == 4, "turn: bad sizes");
  const int64_t turned[] = {args[0], args[2], args[1]};
  return {pack(args, 3)[1], pack(turned, 3)[1]};
}

std::vector<size_t> extents::take(const int64_t* args, size_t count) {
  require(count == 3 && args[0] > 0 && args[1] >= 0 && args[2] >= 0, "take: bad sizes");
  return {product({4, args[0], args[1]}), product({4, args[2]}), product({4, args[2], args[1]})};
}

std::vector<size_t> extents::scatter_add(const int64_t* args, size_t count) {
  const auto bytes = take(args, count);
  return {bytes[1], bytes[2], bytes[0]};
}

}  // namespace nacre
