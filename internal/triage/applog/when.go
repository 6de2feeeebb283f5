package applog

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// stampIn is how much of a line may stand before its time, and the time itself, in bytes.
const stampIn = 200

// farthest is how far behind UTC a zone may be.
const farthest = 12 * time.Hour

var (
	zoneless = regexp.MustCompile(`\b\d{4}[-/]\d{2}[-/]\d{2}[T ]\d{2}:\d{2}:\d{2}(?:[.,]\d{1,9})?\b`)
	zoned    = regexp.MustCompile(`^ ?(?:Z|UTC|GMT|[+-]\d{2}:?\d{2})`)
	access   = regexp.MustCompile(`\b\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2} [+-]\d{4}`)
	epoch    = regexp.MustCompile(`"(?:time|ts|timestamp)"\s*:\s*"?(\d{10})(?:\d{3})?\b`)
)

// when is the time of a line. certain says that it has a zone; where it has none it is told as if it were UTC.
func when(line string) (at time.Time, certain, is bool) {
	head := line[:min(len(line), stampIn)]
	if !strings.Contains(head, "20") && !strings.Contains(head, `"t`) { // most lines that have none
		return time.Time{}, false, false
	}
	if text := access.FindString(head); text != "" {
		at, err := time.Parse("02/Jan/2006:15:04:05 -0700", text)
		return at, true, err == nil
	}
	if found := epoch.FindStringSubmatch(head); found != nil {
		seconds, err := strconv.ParseInt(found[1], 10, 64)
		return time.Unix(seconds, 0), true, err == nil
	}
	place := zoneless.FindStringIndex(head)
	if place == nil || zoned.MatchString(head[place[1]:]) { // that one is passed over by who reads
		return time.Time{}, false, false
	}
	text := strings.NewReplacer("/", "-", "T", " ", ",", ".").Replace(head[place[0]:place[1]])
	at, err := time.Parse("2006-01-02 15:04:05.999999999", text)
	return at, false, err == nil
}
