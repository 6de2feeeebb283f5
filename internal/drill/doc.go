// Package drill proves the chain from a fault to the people who are told of it. It runs the team's own configuration, its
// checks, rules and exporters, in an agent of its own with its time compressed, in a world on the loopback interface, makes
// one thing go wrong, and says whether the right alert came, reached each route and ended.
//
// It reads no secret of the configuration and touches nothing outside of a temporary directory and the loopback interface:
// every connection that the agent would make ends in this process.
package drill
