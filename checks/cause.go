package checks

import "slices"

// Cause names why a run is not OK. Exactly one per Result, "" when OK.
type Cause string

// Blame says whose fault a cause is.
type Blame string

// The blames.
const (
	BlameNone     Blame = ""
	BlameOurs     Blame = "ours"     // this agent or its host
	BlameNetwork  Blame = "network"  // between us and the target
	BlameLocal    Blame = "local"    // our own network: a reference host fails too
	BlameAccount  Blame = "account"  // key, plan, quota or payment
	BlameProvider Blame = "provider" // the target
	BlameConfig   Blame = "config"   // what we or the application ask for
	BlameSkipped  Blame = "skipped"  // nobody's: we chose not to run

	// BlameApplication is the team's own application, or what it is made of. No cause has it by itself: checks of it say so.
	BlameApplication Blame = "application"
)

// BlameInfo is one row of the table of blames.
type BlameInfo struct {
	Blame Blame
	Doc   string // who it is, one line
}

// Blames is the table of blames, in the order of the documentation.
func Blames() []BlameInfo {
	return []BlameInfo{
		{BlameOurs, "this agent or its host"},
		{BlameNetwork, "between us and the target"},
		{BlameLocal, "our own network: a reference host fails too, or this host's firewall refuses"},
		{BlameAccount, "key, plan, quota or payment"},
		{BlameProvider, "the target"},
		{BlameApplication, "the team's own application: what it answers, or says of itself"},
		{BlameConfig, "what we or the application ask for"},
		{BlameSkipped, "nobody: we chose not to run"},
	}
}

// The causes.
const (
	CauseNone               Cause = ""
	CauseConfig             Cause = "config"
	CauseInternal           Cause = "internal"
	CauseDNS                Cause = "dns"
	CauseConnect            Cause = "connect"
	CauseProxy              Cause = "proxy"
	CauseTLS                Cause = "tls"
	CauseTimeoutConnect     Cause = "timeout_connect"
	CauseAuth               Cause = "auth"
	CauseForbidden          Cause = "forbidden"
	CausePayment            Cause = "payment"
	CauseNoAllowance        Cause = "no_allowance"
	CauseQuota              Cause = "quota"
	CauseRateLimited        Cause = "rate_limited"
	CauseCapacity           Cause = "capacity"
	CauseServer             Cause = "server"
	CauseTimeout            Cause = "timeout"
	CauseSlow               Cause = "slow"
	CauseModelGone          Cause = "model_gone"
	CauseBadRequest         Cause = "bad_request"
	CauseStreamStalled      Cause = "stream_stalled"
	CauseStreamTruncated    Cause = "stream_truncated"
	CauseEmptyContent       Cause = "empty_content"
	CauseMalformed          Cause = "malformed"
	CauseResponseTooLarge   Cause = "response_too_large"
	CauseUnexpectedRedirect Cause = "unexpected_redirect"
	CauseAssertion          Cause = "assertion"
	CauseBudget             Cause = "budget"
	CauseHeadroom           Cause = "headroom"
	CauseBreakerOpen        Cause = "breaker_open"
	CauseOverlap            Cause = "overlap"
	CauseMissed             Cause = "missed"
	CauseMaintenance        Cause = "maintenance"
)

// CauseInfo is one row of the table of causes, on which every alert, triage step and runbook text hangs.
type CauseInfo struct {
	Cause   Cause
	Blame   Blame
	Counted bool   // counts against the provider's breaker
	Doc     string // what it means, one line
}

// Causes is the table of causes, in the order of the documentation.
func Causes() []CauseInfo { return slices.Clone(causes) }

//nolint:gochecknoglobals // immutable: every run asks it several times
var causes = []CauseInfo{
	{CauseConfig, BlameOurs, false, "the agent's configuration, a missing or unreadable secret included"},
	{CauseInternal, BlameOurs, false, "the agent's own fault: a panic, no descriptors, a run that outlived its deadline"},
	{CauseDNS, BlameNetwork, true, "the host name could not be resolved"},
	{CauseConnect, BlameNetwork, true, "the connection was refused, reset or had no route"},
	{CauseProxy, BlameNetwork, true, "the proxy refused, failed or could not be reached"},
	{CauseTLS, BlameNetwork, true, "the TLS handshake or the certificate failed"},
	{CauseTimeoutConnect, BlameNetwork, true, "no connection before the deadline"},
	{CauseAuth, BlameAccount, false, "401: the key is missing, wrong or revoked"},
	{CauseForbidden, BlameAccount, false, "403: the key is good, the model or the action is not allowed"},
	{CausePayment, BlameAccount, false, "402: spending limit, credit or a failed invoice"},
	{CauseNoAllowance, BlameAccount, true, "429 with an allowance of zero: permanent, never retry"},
	{CauseQuota, BlameAccount, true, "429: the month's allowance is used up"},
	{CauseRateLimited, BlameAccount, true, "429: too many requests or tokens in the window"},
	{CauseCapacity, BlameProvider, true, "the provider is full; the account did nothing"},
	{CauseServer, BlameProvider, true, "a 5xx answer"},
	{CauseTimeout, BlameProvider, true, "connected, but no complete answer before the deadline"},
	{CauseSlow, BlameProvider, false, "answered well, above a latency objective"},
	{CauseModelGone, BlameConfig, false, "the model does not exist, is retired or is not in use"},
	{CauseBadRequest, BlameConfig, false, "400 or 422: the request itself was refused"},
	{CauseStreamStalled, BlameProvider, true, "the stream stopped sending before its end"},
	{CauseStreamTruncated, BlameProvider, true, "the stream ended without its end mark"},
	{CauseEmptyContent, BlameProvider, false, "200 with nothing in it"},
	{CauseMalformed, BlameProvider, true, "an answer that is not what the protocol says"},
	{CauseResponseTooLarge, BlameProvider, true, "a body, header or line beyond its bound"},
	{CauseUnexpectedRedirect, BlameProvider, true, "a redirect, which is never followed"},
	{CauseAssertion, BlameProvider, false, "a good answer that does not say what was expected"},
	{CauseBudget, BlameSkipped, false, "the money budget is spent, or could not be booked"},
	{CauseHeadroom, BlameSkipped, false, "too little of the rate limit is left for the application"},
	{CauseBreakerOpen, BlameSkipped, false, "the provider's circuit breaker is open"},
	{CauseOverlap, BlameSkipped, false, "the run before was still going"},
	{CauseMissed, BlameSkipped, false, "the slot passed while the agent, its clock or its host could not run it"},
	{CauseMaintenance, BlameSkipped, false, "a maintenance window"},
}

// Info returns the row of c, and false for a cause that is not in the table.
func (c Cause) Info() (CauseInfo, bool) {
	if c == CauseNone {
		return CauseInfo{}, false
	}
	for i := range causes {
		if causes[i].Cause == c {
			return causes[i], true
		}
	}
	return CauseInfo{}, false
}

// Blame is whose fault c is; BlameNone for "" and for causes that are not in the table.
func (c Cause) Blame() Blame {
	row, _ := c.Info()
	return row.Blame
}
