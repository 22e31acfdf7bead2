package top

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// clean replaces everything in a text from etcd that is not a visible character, because it could
// move the cursor or change the terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// wide are the characters that take two columns of a terminal, as far as names are likely to have
// them.
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x1100, Hi: 0x115f, Stride: 1},
		{Lo: 0x2e80, Hi: 0xa4cf, Stride: 1},
		{Lo: 0xac00, Hi: 0xd7a3, Stride: 1},
		{Lo: 0xf900, Hi: 0xfaff, Stride: 1},
		{Lo: 0xfe30, Hi: 0xfe6f, Stride: 1},
		{Lo: 0xff00, Hi: 0xff60, Stride: 1},
		{Lo: 0xffe0, Hi: 0xffe6, Stride: 1},
	},
	R32: []unicode.Range32{
		{Lo: 0x1f300, Hi: 0x1faff, Stride: 1}, {Lo: 0x20000, Hi: 0x3fffd, Stride: 1},
	},
}

// runeWidth returns the number of columns of a character.
func runeWidth(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case unicode.Is(wide, r):
		return 2
	}
	return 1
}

func width(s string) (n int) {
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

// fit cuts a text that is wider than so many columns.
func fit(s string, columns int) string {
	s = clean(s)
	if width(s) <= columns {
		return s
	}
	n := 0
	for i, r := range s {
		if n += runeWidth(r); n > columns-1 {
			if columns < 1 {
				return ""
			}
			return s[:i] + "…"
		}
	}
	return s
}

// pad makes a text so many columns wide, of which the last is empty.
func pad(s string, columns int) string {
	s = fit(s, columns-1)
	return s + strings.Repeat(" ", columns-width(s))
}

// rightAlign is pad with the text at the right edge.
func rightAlign(s string, columns int) string {
	s = fit(s, columns)
	return strings.Repeat(" ", columns-width(s)) + s
}
