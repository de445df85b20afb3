# Stage 3: everything in the common frame.


rule align_recording:
    """Warp a recording's mask and movie into the common frame."""
    input:
        compensated=session.path("compensated") if ALIGNED_MOVIE and not FROM_RAW else [],
        recording=(lambda wildcards: recording(wildcards).path) if FROM_RAW else [],
        compact_flow=session.path("compact_flow") if FROM_RAW else [],
        reference=session.path("reference") if FROM_RAW else [],
        mask=session.path("mask"),
        to_reference=session.path("to_reference"),
        center=CENTER_AVERAGE,
        damaged=damage_stamp("align_recording"),
    output:
        mask=session.path("aligned_mask"),
        movie=session.path(ALIGNED_MOVIE) if ALIGNED_MOVIE else [],
    log:
        "logs/align_recording/{recording}.log",
    benchmark:
        "benchmarks/align_recording/{recording}.tsv"
    group:
        submission("alignment")
    conda:
        FLOW_ENVIRONMENT if ALIGNED_MOVIE else "../envs/cpu.yaml"
    threads: threads
    resources:
        **(GPU if ALIGNED_MOVIE else {}),
        mem_mb=lambda wildcards, threads, attempt: resources.aligning_mb(
            recording(wildcards), align_chunk(wildcards), attempt, gpu=bool(GPU)
        ),
        runtime=lambda wildcards, attempt: resources.streaming_minutes(recording(wildcards), attempt),
    params:
        interpolation=options["interpolation_method"],
        reading=reading if FROM_RAW else None,
        bin_size=options["bin_size"],
        typename=options["output_typename"],
        kernel=KERNEL,
        chunk=align_chunk,
        backend=backend,
    script:
        "../scripts/align_recording.py"


rule intersect_masks:
    """Find the pixels that are valid in every frame of every recording, and gather the session's arrays."""
    input:
        center=session.path("center"),
        masks=every("mask"),
        aligned_masks=every("aligned_mask"),
        to_reference=every("to_reference"),
        averages=every("average"),
        damaged=damage_stamp("intersect_masks"),
    output:
        png=session.path("final_png"),
        npz=session.path("final_npz"),
        mat=session.path("final_mat"),
        status=session.path("final_status"),
    log:
        "logs/intersect_masks.log",
    benchmark:
        "benchmarks/intersect_masks.tsv"
    group:
        submission("session")
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: resources.session_mb(session.recordings, attempt),
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        names=session.names,
        movies=session.compensated_movies,
        aligned_movies=session.paths(ALIGNED_MOVIE) if ALIGNED_MOVIE else [],
    script:
        "../scripts/intersect_masks.py"
