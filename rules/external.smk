# In place of stage 1, with `stage1: external`: what another tool made is taken over.


rule adopt_recording:
    """Take over a recording that another tool has compensated: its average, and the pixels valid in all frames."""
    input:
        compensated=session.path("compensated"),
        valid=session.path("valid"),
        average=given_average,
        damaged=damage_stamp("adopt_recording"),
    output:
        average=session.path("average"),
        valid_fraction=session.path("valid_fraction"),
        mask=session.path("mask"),
        status=session.path("status"),
    log:
        "logs/adopt_recording/{recording}.log",
    benchmark:
        "benchmarks/adopt_recording/{recording}.tsv"
    group:
        submission("recording")
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: resources.streaming_mb(recording(wildcards), attempt),
        runtime=lambda wildcards, attempt: resources.streaming_minutes(recording(wildcards), attempt),
    params:
        exclude_outliers=settings["mask_exclude_outliers"],
        kernel=KERNEL,
    script:
        "../scripts/adopt_recording.py"
