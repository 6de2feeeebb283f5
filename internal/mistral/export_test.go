package mistral

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// Limits, RetryAfter, ParseTime and Events let the tests reach the parsers.
func Limits(h http.Header) []RateLimit { return parseLimits(h) }

func RetryAfter(value string, now time.Time) time.Duration { return retryAfter(value, now) }

func ParseTime(value string) time.Time { return parseTime(value) }

func Events(r io.Reader) (events []string, err error) {
	reader := newEventReader(r)
	for {
		data, err := reader.next()
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return events, err
		}
		events = append(events, string(data))
	}
}
