package checktest

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Leak looks for key in text, plain and in the forms that a program gives it on the way out: quoted, JSON, HTML, URL
// escaped, hex, reversed, and base64 at each of the three places it can have in a longer base64 text. It returns the name of the form
// that was found, "" where there is none. A key of fewer than 8 bytes would be found by chance: choose a longer one.
func Leak(text, key string) string {
	if key == "" {
		return ""
	}
	forms := forms(key)
	names := make([]string, 0, len(forms))
	for name := range forms {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if strings.Contains(text, forms[name]) {
			return name
		}
	}
	return ""
}

func forms(key string) map[string]string {
	reversed := []byte(key)
	slices.Reverse(reversed)
	asJSON, err := json.Marshal(key)
	if err != nil {
		asJSON = []byte(strconv.Quote(key))
	}
	forms := map[string]string{
		"plain":      key,
		"quoted":     strings.Trim(strconv.Quote(key), `"`),
		"json":       strings.Trim(string(asJSON), `"`),
		"html":       html.EscapeString(key),
		"url query":  url.QueryEscape(key),
		"url path":   url.PathEscape(key),
		"hex":        hex.EncodeToString([]byte(key)),
		"upper hex":  strings.ToUpper(hex.EncodeToString([]byte(key))),
		"reversed":   string(reversed),
		"lower case": strings.ToLower(key),
		"upper case": strings.ToUpper(key),
	}
	for offset := range 3 {
		forms["base64 at "+strconv.Itoa(offset)] = within(base64.RawStdEncoding, key, offset)
		forms["base64url at "+strconv.Itoa(offset)] = within(base64.RawURLEncoding, key, offset)
	}
	return forms
}

// within is the part of a longer base64 text that depends on key alone, when key begins offset bytes into a group of three.
func within(enc *base64.Encoding, key string, offset int) string {
	text := enc.EncodeToString(append(make([]byte, offset), key...))
	first := (offset*8 + 5) / 6          // characters that carry bits of what stands before
	whole := (offset + len(key)) * 8 / 6 // characters all of whose bits are key's
	return text[first:whole]
}
