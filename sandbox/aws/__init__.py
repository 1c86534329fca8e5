"""The AWS half of the sandbox: the Pulumi program, deployed into an emulator on this machine.

    settings = read_settings(root, "sandbox", secrets={"marketplaceApiKey": key})
    with Emulator(EmulatorSettings(region=settings.config["aws:region"])) as emulator:
        deployment = deploy(program, settings, cloud=emulator)
        print(deployment.outputs["route_url"].value)
        deployment.destroy(unprotect=True)

`emulator` owns ministack as a child process and hands out clients. `deployment` runs the program
twice, as Pulumi does: a preview that creates nothing, so that a policy can refuse the stack, and
then the update. `monitor` is what the SDK talks to instead of the Pulumi engine; it gives every
resource to its kind in `resources/`, which makes it through boto3 the way the real provider would.

What must hold: nothing here reads or touches the user's AWS account, files or environment; a
resource or an input that the sandbox cannot honour is an error that names it, never ignored; and
when an `Emulator` is closed no process and no file of it is left.
"""
