package datadog

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/windsock-monitor/windsock/exporters"
)

// maxTag is Datadog's bound on a tag. Its documentation counts characters; bytes are never more.
const maxTag = 200

// cleanTag makes a tag as Datadog would: lower case; letters, digits and _-:./ stay, everything else becomes an
// underscore; a letter first; at most 200 long. "" where nothing is left.
// (docs.datadoghq.com/getting_started/tagging, read November 2026)
func cleanTag(tag string) string {
	if len(tag) <= maxTag && isClean(tag) {
		return tag
	}
	var out strings.Builder
	for _, r := range tag {
		switch {
		case out.Len() == 0 && !unicode.IsLetter(r):
			continue
		case unicode.IsLetter(r), unicode.IsDigit(r):
			r = unicode.ToLower(r)
		case !strings.ContainsRune("_-:./", r):
			r = '_'
		}
		if out.Len()+utf8.RuneLen(r) > maxTag {
			break
		}
		out.WriteRune(r)
	}
	return strings.TrimRight(out.String(), "_:")
}

func isClean(tag string) bool {
	for i := range len(tag) {
		c := tag[i]
		switch {
		case c >= 'a' && c <= 'z':
		case i > 0 && (c >= '0' && c <= '9' || c == '_' || c == '-' || c == ':' || c == '.' || c == '/'):
		default:
			return false
		}
	}
	return tag != "" && tag[len(tag)-1] != '_' && tag[len(tag)-1] != ':'
}

// tag is key:value, cleaned; "" where there is no value.
func tag(key, value string) string {
	if value == "" {
		return ""
	}
	key = strings.ReplaceAll(key, ":", "_") // the first colon ends the key
	return cleanTag(key + ":" + value)
}

// tagsOf are the tags of a point, sorted.
func tagsOf(attrs []exporters.Attr) []string {
	all := make([]string, 0, len(attrs))
	for _, a := range attrs {
		if t := tag(a.Key, a.Value); t != "" {
			all = append(all, t)
		}
	}
	return tidy(all)
}

func tidy(tags []string) []string {
	if !slices.IsSorted(tags) {
		slices.Sort(tags)
	}
	return slices.Compact(tags)
}

// globalTags are the tags on everything: labels, `tags:`, and Datadog's three reserved ones from DD_ENV, DD_SERVICE and
// DD_VERSION, which stand above the labels of that name because Datadog's own clients put them on anyway.
func globalTags(p Params, labels map[string]string, getenv func(string) string) []string {
	all := maps.Clone(labels)
	if all == nil {
		all = map[string]string{}
	}
	for name, variable := range map[string]string{"env": "DD_ENV", "service": "DD_SERVICE", "version": "DD_VERSION"} {
		all[name] = cmp.Or(getenv(variable), all[name])
	}
	var tags []string
	for name, value := range all {
		if t := tag(name, value); t != "" {
			tags = append(tags, t)
		}
	}
	for _, t := range p.Tags {
		tags = append(tags, cleanTag(t))
	}
	return tidy(tags)
}

// without leaves out the tags whose keys the others have.
func without(tags, others []string) []string {
	key := func(t string) string { k, _, _ := strings.Cut(t, ":"); return k }
	return slices.DeleteFunc(slices.Clone(tags), func(t string) bool {
		return slices.ContainsFunc(others, func(o string) bool { return key(o) == key(t) })
	})
}

// metricName is the name as Datadog takes it: ASCII letters, digits, underscores and dots, at most 200.
func metricName(namespace, name string) string {
	name = exporters.DatadogName(name)
	if namespace != "" {
		name = strings.TrimSuffix(namespace, ".") + "." + name
	}
	return name[:min(len(name), maxTag)]
}
