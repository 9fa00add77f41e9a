#pragma once
// What the user has asked for, and how a key changes it. Pure.

#include <cstdint>
#include <string>
#include <vector>

#include "tools/eagre/top/table.h"

namespace eagre::cli::top {

enum class Key : uint8_t {
    kNone,
    kCharacter,
    kUp,
    kDown,
    kPageUp,
    kPageDown,
    kHome,
    kEnd,
    kLeft,
    kRight,
    kEnter,
    kEscape,
    kBackspace,
    kTab,
    kResize,
};

struct KeyPress {
    Key key = Key::kNone;
    char character = 0;  // Of kCharacter: printable ASCII.
};

/// Longest filter; a name is not longer.
inline constexpr size_t kFilterBytesMax = 128;

struct Settings {
    TableKind table = TableKind::kStreams;
    RowOrder order[std::size(kTableKinds)] = {
        {2, false, {}, false}, {2, false, {}, false}, {3, false, {}, false}};
    std::string selected;  // Key of a row; empty: none.
    size_t first_row = 0;  // At the top of the table.
    bool paused = false;
    bool help = false;
    bool typing = false;  // A filter is being typed.

    RowOrder& current() { return order[static_cast<size_t>(table)]; }
    const RowOrder& current() const { return order[static_cast<size_t>(table)]; }
};

/// What a key needs to know of what is on the screen.
struct Listing {
    std::vector<std::string> keys;     // Of all rows, as they are sorted and filtered.
    std::vector<std::string> names;    // Their first cells.
    std::vector<size_t> sort_columns;  // That may be sorted by, of those shown.
    size_t page_rows = 1;              // That fit on the screen.
};

enum class After : uint8_t { kGoOn, kQuit };

/// Changes `settings` as the key asks.
After press(const KeyPress& press, const Listing& listing, Settings& settings);

/// Moves the window over the rows so that the selected one is in it and none is left blank at the
/// end; a selected row that is gone is forgotten.
void keep_in_sight(const Listing& listing, Settings& settings);

}  // namespace eagre::cli::top
