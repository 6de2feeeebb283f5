package outbound

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxErrorText bounds the text of a Failure, in bytes.
const maxErrorText = 240

var (
	// escapes are ANSI and other terminal sequences: CSI, OSC with its end, and the two-byte ones.
	escapes = regexp.MustCompile("(?:\x1b\\[|\u009b)[0-?]*[ -/]*[@-~]?|(?:\x1b\\]|\u009d)[^\x07\x1b]*(?:\x07|\x1b\\\\)?|\x1b[ -/]*[0-~]?")
	// locators are URLs within a text: scheme, user info, host and path, query and fragment.
	locators = regexp.MustCompile(`(?i)\b([a-z][a-z0-9+.-]*://)(?:[^\s/?#"']*@)?([^\s?#"']*)(?:[?#][^\s"']*)?`)
	// queries are query strings that stand without a scheme before them: "/v1/models?key=…".
	queries = regexp.MustCompile(`(/[^\s?#"']*)\?[^\s"']*`)
)

// Sanitize makes text that came from outside fit for a log line, a label or an OTLP string: valid UTF-8 in one line,
// without control characters, terminal sequences or marks that reorder or hide text, and at most limit bytes long, the
// ellipsis of a cut text included.
func Sanitize(s string, limit int) string {
	if limit <= 0 {
		return ""
	}
	if len(s) <= limit && isPlain(s) {
		return s
	}
	if work := 8*min(limit, 1<<20) + 1024; len(s) > work { // what is beyond would be cut anyway
		s = s[:work]
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = escapes.ReplaceAllString(s, "")
	s = strings.Map(printable, s)
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= limit {
		return s
	}
	const ellipsis = "…"
	keep, tail := limit-len(ellipsis), ellipsis
	if keep < 0 {
		keep, tail = limit, ""
	}
	for keep > 0 && !utf8.RuneStart(s[keep]) {
		keep--
	}
	return strings.TrimRight(s[:keep], " ") + tail
}

// isPlain reports whether a text is one line of ASCII with single spaces between words already, as nearly all texts are.
func isPlain(s string) bool {
	space := true // at the start, or after a space
	for i := range len(s) {
		c := s[i]
		if c < ' ' || c > '~' || c == ' ' && space {
			return false
		}
		space = c == ' '
	}
	return s == "" || !space
}

// printable keeps what a person can see, turns white space into a space, and drops the rest: control characters, format
// characters (bidirectional overrides, zero-width marks), surrogates and private use.
func printable(r rune) rune {
	switch {
	case unicode.IsSpace(r):
		return ' '
	case unicode.In(r, unicode.C):
		return -1
	}
	return r
}

// redact takes query strings, fragments and user info out of every URL in a text.
func redact(s string) string {
	s = locators.ReplaceAllString(s, "$1$2")
	return queries.ReplaceAllString(s, "$1")
}

// cleanError carries a text that is safe to print, and the error that it was made of for errors.Is and errors.As.
type cleanError struct {
	text  string
	cause error
}

func (e *cleanError) Error() string { return e.text }
func (e *cleanError) Unwrap() error { return e.cause }

// Clean makes an error's text safe to print: one bounded line without query strings and user info, and without the whole
// URL that *url.Error puts in front (webhooks carry their secret in the path). errors.Is and errors.As see through it.
// Users of Client wrap its errors with it.
func Clean(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		text = strings.ToLower(wrapped.Op) + ": " + wrapped.Err.Error()
	}
	return &cleanError{text: Sanitize(redact(text), maxErrorText), cause: err}
}
