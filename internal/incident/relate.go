package incident

import (
	"strings"
	"time"
	"unicode"

	"github.com/windsock-monitor/windsock/checks"
)

// near is how long after its newest alert an incident that is not urgent still takes in an urgent one: what has been
// smouldering for days does not explain an outage.
const near = time.Hour

// side is what blames have in common. From here an outage of the provider and one of the network before it look alike, and
// what begins as the one often goes on as the other. Key, plan and request are all the team's to put right. "" is unknown.
func side(b checks.Blame) string {
	switch b {
	case checks.BlameNetwork, checks.BlameProvider:
		return "reach"
	case checks.BlameOurs, checks.BlameLocal:
		return "here"
	case checks.BlameAccount, checks.BlameConfig:
		return "account"
	case checks.BlameApplication:
		return "application"
	case checks.BlameNone, checks.BlameSkipped:
	}
	return ""
}

// providerOf is the provider of an alert. One that comes from a check without a provider is about the only one that there
// is: the application's own metrics do not name it.
func (b *Book) providerOf(a *checks.Alert) string {
	if p := a.Labels["provider"]; p != "" || a.Labels["check"] == "" {
		return p
	}
	return b.only
}

// home is the open incident that an alert belongs to, nil where there is none: the one it is in, the one of the alert that
// explains it, or one that is related. An alert that is muted otherwise has none.
func (b *Book) home(now time.Time, a *checks.Alert) *open {
	if at := b.byAlert[a.Fingerprint]; at != nil {
		return at
	}
	if a.Muted != "" {
		return b.explaining(a)
	}
	var best *open
	for _, o := range b.open {
		if !b.related(now, o, a) {
			continue
		}
		if best == nil || worse(o.Severity, best.Severity) {
			best = o
		}
	}
	return best
}

// explaining is the incident of the alert that Muted names, by fingerprint or rule.
func (b *Book) explaining(a *checks.Alert) *open {
	if strings.HasPrefix(a.Muted, "silence/") || strings.HasPrefix(a.Muted, "maintenance/") {
		return nil
	}
	names := map[string]bool{}
	for _, word := range strings.FieldsFunc(strings.TrimPrefix(a.Muted, "explained by "), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_-.", r)
	}) {
		names[word] = true
	}
	var found *open
	for _, o := range b.open {
		for key, m := range o.members {
			switch {
			case !m.State.Open() || m.Muted != "":
			case names[key]:
				return o
			case names[m.Rule] && (found == nil || o.Provider == b.providerOf(a)):
				found = o
			}
		}
	}
	return found
}

// related reports whether an alert is part of what an incident is: of the same provider where both have one, blamed alike
// where both are blamed, and as urgent as it.
func (b *Book) related(now time.Time, o *open, a *checks.Alert) bool {
	if !fits(now, o, a) {
		return false
	}
	provider, ours, theirs := b.providerOf(a), side(a.Blame), side(o.Blame)
	switch {
	case provider != "" && o.Provider != "":
		return provider == o.Provider && (ours == theirs || ours == "" || theirs == "")
	case ours != "" || theirs != "":
		return ours == theirs
	}
	return provider == o.Provider && o.shares(a)
}

// fits keeps apart what people treat apart: a task for the next business day is never part of an outage, nor the other way
// about, and an urgent alert joins what is not urgent only while that is new.
func fits(now time.Time, o *open, a *checks.Alert) bool {
	if (rank(a.Severity) >= rank(checks.P4)) != (rank(o.Severity) >= rank(checks.P4)) {
		return false
	}
	return !urgent(a.Severity) || urgent(o.Severity) || now.Sub(o.NewestAt) <= near
}

// shares reports whether the alert is of the same rule or check as one of the incident's: all that is left to go by where
// nobody is blamed.
func (o *open) shares(a *checks.Alert) bool {
	for _, m := range o.members {
		if m.Rule == a.Rule || a.Labels["check"] != "" && m.Labels["check"] == a.Labels["check"] {
			return true
		}
	}
	return false
}
