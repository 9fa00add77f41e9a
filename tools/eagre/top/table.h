#pragma once
// The tables of the screen: rows of cells that can be sorted, filtered and drawn in as many columns
// as there is room for. Pure.

#include <cstdint>
#include <string>
#include <vector>

#include "tools/eagre/top/screen.h"
#include "tools/eagre/top/view.h"

namespace eagre::cli::top {

/// What the lower part of the screen lists.
enum class TableKind : uint8_t { kStreams, kShards, kGroups };
inline constexpr TableKind kTableKinds[] = {TableKind::kStreams, TableKind::kShards,
                                            TableKind::kGroups};

struct Column {
    std::string title;
    size_t width = 0;
    bool figures = true;  // At the right, sorted from the greatest; else text, from the smallest.
    uint8_t rank = 0;     // 0: always there; the greater, the more room it takes to show it.
    bool sortable = true;
};

struct Cell {
    std::string text;
    double value = 0;  // To sort by, in a column of figures.
};

struct Row {
    std::string key;  // Stays the same from frame to frame.
    std::vector<Cell> cells;
    bool quiet = false;  // Nothing happens there.
};

struct TableModel {
    std::vector<Column> columns;
    std::vector<Row> rows;
};

/// How the rows are wanted.
struct RowOrder {
    size_t column = 0;  // Of TableModel::columns.
    bool reversed = false;
    std::string filter;  // Rows whose first cell holds it; a whole name with `exact`.
    bool exact = false;
};

/// For a screen `width` wide: long names take a share of it.
TableModel table_of(const View& view, TableKind kind, size_t width, bool utf8);
TableModel core_table(const View& view, bool utf8);

/// By column and filter; rows that are equal keep their place.
void arrange(TableModel& table, const RowOrder& order);

/// Which columns fit into `width`, in order; those of rank 0 first, then by rank.
std::vector<size_t> columns_that_fit(const TableModel& table, size_t width);

/// The heading; `sorted` is marked.
Line heading_line(const TableModel& table, const std::vector<size_t>& columns, size_t sorted,
                  bool reversed, bool utf8);
Line row_line(const TableModel& table, const std::vector<size_t>& columns, const Row& row,
              bool utf8);

/// "0", "0.4", "12,345", "1.23 M": at most eight columns.
std::string count_text(double value);

}  // namespace eagre::cli::top
