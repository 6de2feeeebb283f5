package checks

import "time"

// AlertState is where an alert stands.
type AlertState string

// The states of an alert.
const (
	AlertPending  AlertState = "pending"
	AlertFiring   AlertState = "firing"
	AlertResolved AlertState = "resolved"
	AlertNoData   AlertState = "no_data"
)

// Severity orders alerts and sets the time to respond.
type Severity string

// The severities, with the time to respond that the checklist gives.
const (
	P1 Severity = "P1" // 15 minutes
	P2 Severity = "P2" // 1 hour
	P3 Severity = "P3" // 4 hours
	P4 Severity = "P4" // next business day
)

// Alert is one transition of one alert.
type Alert struct {
	Rule        string            `json:"rule"`
	Fingerprint string            `json:"fingerprint"`
	State       AlertState        `json:"state"`
	Severity    Severity          `json:"severity"`
	Blame       Blame             `json:"blame,omitempty"`
	Since       time.Time         `json:"since"`
	At          time.Time         `json:"at"`
	Value       float64           `json:"value"`
	Threshold   float64           `json:"threshold"`
	Labels      map[string]string `json:"labels,omitempty"`
	Runbook     string            `json:"runbook,omitempty"`
	Incident    string            `json:"incident,omitempty"`
}
