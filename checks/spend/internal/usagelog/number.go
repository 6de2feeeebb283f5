package usagelog

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"time"
)

// scaled is a decimal number times ten to the power of places, rounded half away from zero: exact is whether nothing had to
// be. ok is false for what is no number, or none that an int64 holds.
func scaled(raw []byte, places int) (n int64, exact, ok bool) {
	const longest = 64
	if len(raw) == 0 || len(raw) > longest {
		return 0, false, false
	}
	if n, ok := plain(raw); ok && places == 0 {
		return n, true, true
	}
	var room [longest]byte
	digits, exponent, negative, ok := split(room[:0], raw)
	if !ok {
		return 0, false, false
	}
	exponent += places
	digits, exact, up := cut(digits, -exponent)
	for _, c := range digits {
		if n > (math.MaxInt64-9)/10 {
			return 0, false, false
		}
		n = n*10 + int64(c-'0')
	}
	for ; exponent > 0 && n != 0; exponent-- {
		if n > (math.MaxInt64-9)/10 {
			return 0, false, false
		}
		n *= 10
	}
	if n += up; negative {
		n = -n
	}
	return n, exact, true
}

// plain reads a short row of digits.
func plain(raw []byte) (n int64, ok bool) {
	if len(raw) > 18 || (len(raw) > 1 && raw[0] == '0') {
		return 0, false
	}
	for _, c := range raw {
		if !isDigit(c) {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, len(raw) > 0
}

// cut takes the last places away, and says whether they were nothing, and whether they round up.
func cut(digits []byte, places int) (left []byte, exact bool, up int64) {
	if places <= 0 {
		return digits, true, 0
	}
	keep := max(len(digits)-places, 0)
	for _, c := range digits[keep:] {
		if c != '0' {
			exact = false
			if places <= len(digits) && digits[keep] >= '5' {
				up = 1
			}
			return digits[:keep], exact, up
		}
	}
	return digits[:keep], true, 0
}

// split takes a number in JSON's spelling apart: its digits without leading zeros, appended to digits, and the power of ten
// that they count.
func split(digits, raw []byte) (_ []byte, exponent int, negative, ok bool) {
	s := scanner{data: raw}
	if whole, ok := s.number(); !ok || len(whole) != len(raw) {
		return nil, 0, false, false
	}
	if raw[0] == '-' {
		negative, raw = true, raw[1:]
	}
	mantissa, power := raw, 0
	if i := bytes.IndexAny(raw, "eE"); i >= 0 {
		var err error
		if power, err = strconv.Atoi(string(raw[i+1:])); err != nil || power < -1000 || power > 1000 {
			return nil, 0, false, false
		}
		mantissa = raw[:i]
	}
	whole, fraction, _ := bytes.Cut(mantissa, []byte("."))
	digits = append(append(digits, whole...), fraction...)
	return bytes.TrimLeft(digits, "0"), power - len(fraction), negative, true
}

// The years between which a time is believed.
const firstYear, lastYear = 2015, 2200

// timeOf reads a time: RFC 3339, its relatives without T or without a zone, or Unix time in seconds, ms, µs or ns.
func timeOf(v value, zone *time.Location) (time.Time, bool) {
	var at time.Time
	var ok bool
	switch v.sort { //nolint:exhaustive // the others are no times
	case number:
		at, ok = unix(v.raw)
	case text:
		s, _ := v.text()
		if at, ok = clock(s, zone); !ok {
			at, ok = unix(v.raw)
		}
	}
	return at, ok && at.Year() >= firstYear && at.Year() <= lastYear
}

func clock(s string, zone *time.Location) (time.Time, bool) {
	const shortest, longest = len("2006-01-02T15:04"), 64
	if len(s) < shortest || len(s) > longest || s[4] != '-' {
		return time.Time{}, false
	}
	if at, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return at, true
	}
	s = s[:10] + "T" + strings.TrimLeft(s[11:], " ")
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05 Z0700"} {
		if at, err := time.ParseInLocation(layout, s, zone); err == nil { // fractions are read without being asked for
			return at, true
		}
	}
	return time.Time{}, false
}

// unix reads the time since 1970 in the unit that makes it a time of ours: each is a thousand times the next, and the years
// from 1973 to 5138 in one are before 1973 in those that are smaller.
func unix(raw []byte) (time.Time, bool) {
	if micros, _, ok := scaled(raw, 6); ok && micros < 1e17 {
		return time.UnixMicro(micros), true
	}
	n, _, ok := scaled(raw, 0)
	switch {
	case !ok:
		return time.Time{}, false
	case n < 1e14:
		return time.UnixMilli(n), true
	case n < 1e17:
		return time.UnixMicro(n), true
	}
	return time.Unix(0, n), true
}
