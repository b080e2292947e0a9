// Package render turns what the core decides into text for people: reasons,
// plans and tables, for the command line, the web pages, events and conditions.
//
// It decides nothing and reads nothing; equal values give equal bytes.
package render
