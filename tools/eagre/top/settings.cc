#include "tools/eagre/top/settings.h"

#include <algorithm>

namespace eagre::cli::top {
namespace {

/// Of the selected row; the number of rows when none is.
size_t selected_index(const Listing& listing, const Settings& settings) {
    return static_cast<size_t>(
        std::find(listing.keys.begin(), listing.keys.end(), settings.selected) -
        listing.keys.begin());
}

void select(const Listing& listing, Settings& settings, std::ptrdiff_t step) {
    if (listing.keys.empty()) return;
    const size_t index = selected_index(listing, settings);
    const auto last = static_cast<std::ptrdiff_t>(listing.keys.size()) - 1;
    // The first press selects what is at the top.
    const std::ptrdiff_t wanted = index == listing.keys.size()
                                      ? static_cast<std::ptrdiff_t>(settings.first_row)
                                      : static_cast<std::ptrdiff_t>(index) + step;
    settings.selected =
        listing.keys[static_cast<size_t>(std::clamp<std::ptrdiff_t>(wanted, 0, last))];
}

void show_table(Settings& settings, TableKind table) {
    settings.table = table;
    settings.selected.clear();
    settings.first_row = 0;
}

void next_table(Settings& settings) {
    const size_t next = (static_cast<size_t>(settings.table) + 1) % std::size(kTableKinds);
    show_table(settings, kTableKinds[next]);
}

/// The next or previous column to sort by, of those on the screen.
void move_sort(const Listing& listing, Settings& settings, bool forward) {
    const auto& columns = listing.sort_columns;
    if (columns.empty()) return;
    const auto found = std::find(columns.begin(), columns.end(), settings.current().column);
    const auto at = static_cast<size_t>(found - columns.begin());
    const size_t next = found == columns.end() ? 0
                        : forward              ? (at + 1) % columns.size()
                                               : (at + columns.size() - 1) % columns.size();
    settings.current().column = columns[next];
    settings.current().reversed = false;
}

/// From a stream to its shards.
void enter(const Listing& listing, Settings& settings) {
    const size_t index = selected_index(listing, settings);
    if (settings.table != TableKind::kStreams || index == listing.keys.size()) return;
    const std::string name = listing.names[index];
    show_table(settings, TableKind::kShards);
    settings.current().filter = name;
    settings.current().exact = true;
}

/// One step back: out of the help, off the filter, from the shards to the streams, off the row.
void leave(Settings& settings) {
    if (settings.help) {
        settings.help = false;
    } else if (settings.table == TableKind::kShards && settings.current().exact) {
        settings.current().filter.clear();
        settings.current().exact = false;
        show_table(settings, TableKind::kStreams);
    } else if (!settings.current().filter.empty()) {
        settings.current().filter.clear();
    } else {
        settings.selected.clear();
    }
}

void type(const KeyPress& press, Settings& settings) {
    RowOrder& order = settings.current();
    switch (press.key) {
        case Key::kCharacter:
            if (order.filter.size() < kFilterBytesMax) order.filter += press.character;
            break;
        case Key::kBackspace:
            if (!order.filter.empty()) order.filter.pop_back();
            break;
        case Key::kEscape:
            order.filter.clear();
            settings.typing = false;
            break;
        case Key::kEnter:
            settings.typing = false;
            break;
        default:
            break;
    }
    settings.first_row = 0;
}

After press_character(char character, const Listing& listing, Settings& settings) {
    switch (character) {
        case 'q':
        case 'Q':
            return After::kQuit;
        case '?':
        case 'h':
            settings.help = !settings.help;
            break;
        case 'p':
        case ' ':
            settings.paused = !settings.paused;
            break;
        case 's':
            move_sort(listing, settings, true);
            break;
        case 'S':
            move_sort(listing, settings, false);
            break;
        case 'r':
            settings.current().reversed = !settings.current().reversed;
            break;
        case '/':
            settings.typing = true;
            settings.help = false;
            settings.current().filter.clear();
            settings.current().exact = false;
            break;
        case 'j':
            select(listing, settings, 1);
            break;
        case 'k':
            select(listing, settings, -1);
            break;
        default:
            break;
    }
    return After::kGoOn;
}

}  // namespace

After press(const KeyPress& press, const Listing& listing, Settings& settings) {
    const auto page = static_cast<std::ptrdiff_t>(std::max<size_t>(listing.page_rows, 1));
    const auto all = static_cast<std::ptrdiff_t>(listing.keys.size());
    After after = After::kGoOn;
    if (settings.typing && press.key != Key::kUp && press.key != Key::kDown) {
        type(press, settings);
    } else {
        switch (press.key) {
            case Key::kCharacter:
                after = press_character(press.character, listing, settings);
                break;
            case Key::kUp:
                select(listing, settings, -1);
                break;
            case Key::kDown:
                select(listing, settings, 1);
                break;
            case Key::kPageUp:
                select(listing, settings, -page);
                break;
            case Key::kPageDown:
                select(listing, settings, page);
                break;
            case Key::kHome:
                select(listing, settings, -all);
                break;
            case Key::kEnd:
                select(listing, settings, all);
                break;
            case Key::kLeft:
                move_sort(listing, settings, false);
                break;
            case Key::kRight:
                move_sort(listing, settings, true);
                break;
            case Key::kEnter:
                enter(listing, settings);
                break;
            case Key::kTab:
                next_table(settings);
                break;
            case Key::kEscape:
                leave(settings);
                break;
            case Key::kBackspace:
            case Key::kResize:
            case Key::kNone:
                break;
        }
    }
    return after;
}

void keep_in_sight(const Listing& listing, Settings& settings) {
    const size_t rows = listing.keys.size();
    const size_t page = std::max<size_t>(listing.page_rows, 1);
    settings.first_row = std::min(settings.first_row, rows > page ? rows - page : 0);
    const size_t index = selected_index(listing, settings);
    if (index == rows) {
        settings.selected.clear();
        return;
    }
    if (index < settings.first_row) settings.first_row = index;
    if (index >= settings.first_row + page) settings.first_row = index + 1 - page;
}

}  // namespace eagre::cli::top
