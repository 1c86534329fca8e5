"""What a scaling policy would have cost, and how long requests would have waited, over a trace of real requests.

`world` is the judge: machines that boot for as long as real ones do and bill by the second, requests that are served as an engine
with continuous batching serves them, and one router for everybody. A policy sees what a real system knows and asks for machines.
`policies` holds ours (the shipping decision core, unchanged) and what peers do; `bound` says what could not be undercut.
"""
