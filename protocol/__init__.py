"""The wire between Headgate's parts: route ticket, worker token, worker report, envelopes, errors.

Everything here is pure: bytes and mappings in, values out, no clock, no network, no cryptographic library. The functions, the
worker image, the client and the sandbox all import it, and it imports none of them, so that there is one definition of every
field that crosses a process boundary.
"""
