"""What no stack may deploy, whoever wrote it: a policy pack for Pulumi's CrossGuard, and its rules as pure predicates.

The pack is a second opinion on `infra/` and shares no code with it: a mistake there is not repeated here.

    pulumi up --policy-pack policies
"""
