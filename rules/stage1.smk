# Stage 1: motion within each recording.


include: "shards.smk"


rule compensate_recording:
    """Register all frames of a recording to its reference; goes on where a killed job stopped."""
    input:
        recording=lambda wildcards: recording(wildcards).path,
        reference=session.reference_image or [],
        shards=shards_of,
        damaged=damage_stamp("compensate_recording"),
    output:
        compensated=session.path("compensated"),
        valid=session.path("valid") if options["save_valid_idx"] else temp(session.path("valid")),
        reference=session.path("reference"),
        calibration=session.path("calibration"),
        statistics=(
            session.path("statistics") if options["save_meta_info"] else temp(session.path("statistics"))
        ),
        flow=session.path("flow") if options["save_w"] else [],
        # kept by default: without it, another center or a lost aligned movie would cost the compensation again
        compact_flow=(
            []
            if not FROM_RAW
            else (
                session.path("compact_flow")
                if options["save_w_compact"]
                else temp(session.path("compact_flow"))
            )
        ),
        status=session.path("status"),
    log:
        "logs/compensate_recording/{recording}.log",
    benchmark:
        "benchmarks/compensate_recording/{recording}.tsv"
    group:
        submission("recording")
    conda:
        FLOW_ENVIRONMENT
    threads: threads
    resources:
        **GPU,
        mem_mb=lambda wildcards, threads, attempt: resources.compensation_mb(
            recording(wildcards), threads, batch(wildcards), attempt, options=options, gpu=bool(GPU)
        ),
        runtime=lambda wildcards, threads, attempt: resources.compensation_minutes(
            recording(wildcards), threads, options["quality_setting"], attempt
        ),
    params:
        **STAGE1,
        batch=batch,
        scratch=scratch,
        backend=backend,
    script:
        "../scripts/compensate_recording.py"


rule average_recording:
    """Average the compensated frames, and find the pixels that are valid in all of them."""
    input:
        compensated=session.path("compensated"),
        valid=session.path("valid"),
        statistics=session.path("statistics"),
        damaged=damage_stamp("average_recording"),
    output:
        average=session.path("average"),
        valid_fraction=session.path("valid_fraction"),
        mask=session.path("mask"),
    log:
        "logs/average_recording/{recording}.log",
    benchmark:
        "benchmarks/average_recording/{recording}.tsv"
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
        "../scripts/average_recording.py"
